"""The JSON schema of an `alcove.toml`, for editors: made from the types in `config/settings.py`.

Written to `FILE` by `python -m tools.configuration_page`; that file is shipped, and printed by `alcove schema`.
"""

import json
from pathlib import Path
from typing import Any

from alcove.config.alcove_toml import MODEL_TABLE
from alcove.config.layers import KNOWN, MADE
from alcove.config.settings import AuthSettings, Key, ModelSettings, Settings

FILE = Path(__file__).with_name("alcove.schema.json")
"""The schema as it is shipped."""


def schema() -> dict[str, Any]:
    """The schema: only what a file may say, in the file's own names."""
    made = Settings.model_json_schema()
    tables = {name: _plain(table) for name, table in made.pop("$defs").items() if name != Key.__name__}
    auth = tables[AuthSettings.__name__]["properties"]
    for name in MADE:
        del auth[name]
    properties = {name: _plain(field) for name, field in made["properties"].items() if name in KNOWN[()]}
    models = properties.pop("models")
    del models["default"]
    models["description"] = tables[ModelSettings.__name__]["description"]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",  # what taplo, and so Even Better TOML, understands
        "title": "alcove.toml",
        "description": "Configuration of alcove, which serves models behind the OpenAI API.",
        "type": "object",
        "properties": {
            **properties,
            MODEL_TABLE: models,
        },
        "additionalProperties": False,
        "definitions": tables,
    }


def text() -> str:
    """The schema as the file has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _plain(node: Any) -> Any:
    """The same without what a TOML file has no use for: null, titles that repeat a name, line breaks in texts."""
    if isinstance(node, list):
        return [_plain(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _plain(value) for key, value in node.items() if key != "title" or isinstance(value, dict)}
    if kept.get("default", ...) is None or "$ref" in kept:  # a table's default says its fields' once more
        kept.pop("default", None)
    if "description" in kept and isinstance(kept["description"], str):
        kept["description"] = " ".join(kept["description"].split())
    if "$ref" in kept:
        kept["$ref"] = kept["$ref"].replace("#/$defs/", "#/definitions/")
    if "anyOf" in kept:
        choices = [choice for choice in kept.pop("anyOf") if choice != {"type": "null"}]
        kept |= choices[0] if len(choices) == 1 else {"anyOf": choices}
    return kept
