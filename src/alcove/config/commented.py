"""A commented `alcove.toml`: the models that are given, and every setting at its default, commented out.

Made of the schema (`config/schema.py`), so of the docstrings in `config/settings.py`. Called by `alcove init`.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from alcove.config.alcove_toml import MODEL_TABLE
from alcove.config.schema import schema

_HEAD = """\
# What `alcove serve` does where this file lies. `alcove check` says what holds and where it comes from.
# A line that begins with a # and no blank is a setting at its default, or an example of one that has none.
#
# For an editor that knows JSON schemas (Even Better TOML, taplo): `alcove schema > alcove.schema.json`, and as the
# first line of this file   #:schema ./alcove.schema.json
"""
_WIDTH = 120
_LONGEST_MEANING = 110
_EXAMPLES = {
    "keys_file": "keys.txt",
    "admin_keys_file": "admin-keys.txt",
    "max_connections": 500,
    "key_requests_per_minute": 60,
    "key_tokens_per_minute": 20_000,
    "max_prompt_tokens": 512,
    "max_output_tokens": 512,
    "otel_endpoint": "http://127.0.0.1:4318/v1/traces",
    "revision": "main",
    "memory_limit": "6GiB",
    "prompt.chat_template": "chat.jinja",
    "prompt.system": "You answer briefly.",
    "prompt.format": "Question: {instruction}",
}
"""Settings that have no default, and for which the example of their type would not do."""
_EXAMPLES_BY_TYPE = {"integer": 4, "number": 600.0, "boolean": True, "string": "..."}


def commented(models: Sequence[Mapping[str, Any]]) -> str:
    """The text of the file. `models` are what is set of each, by field; the first one shows all other settings."""
    root = schema()
    parts = [_HEAD]
    for name, field in root["properties"].items():
        if name != MODEL_TABLE:
            table = _of(root, field)
            parts.append(_table(f"[{name}]", table["description"], _settings(root, table)))
    table = _of(root, root["properties"][MODEL_TABLE]["items"])
    for number, model in enumerate(models):
        settings = [f"{key} = {_toml(value)}" for key, value in model.items()]
        if number == 0:
            settings += _settings(root, table, without=model.keys())
        parts.append(_table(f"[[{MODEL_TABLE}]]", table["description"] if number == 0 else "", settings))
    return "\n".join(parts)


def _table(title: str, description: str, lines: Iterator[str] | Sequence[str]) -> str:
    return "\n".join([*(f"# {line}" for line in textwrap.wrap(description, _WIDTH - 2)), title, *lines]) + "\n"


def _settings(root: Any, table: Any, before: str = "", without: Any = ()) -> Iterator[str]:
    """Lines of comments and commented settings; those of a table inside it by dotted keys."""
    for name, field in table["properties"].items():
        if name in without:
            continue
        if "$ref" in field:
            yield from _settings(root, _of(root, field), before=f"{before}{name}.")
            continue
        value = field["default"] if "default" in field else _example(before + name, field)
        yield f"# {_meaning(field['description'])}"
        yield f"#{before}{name} = {_toml(value)}" + ("" if "default" in field else "  # an example")


def _of(root: Any, field: Any) -> Any:
    return root["definitions"][field["$ref"].rpartition("/")[2]]


def _meaning(description: str) -> str:
    """The first sentence, or its beginning where it is long."""
    sentence = description.partition(". ")[0].removesuffix(".")
    if len(sentence) > _LONGEST_MEANING:
        sentence = min((sentence.partition(mark)[0] for mark in (": ", "; ")), key=len)
    return f"{sentence}."


def _example(name: str, field: Any) -> Any:
    if name in _EXAMPLES:
        return _EXAMPLES[name]
    choices = field.get("enum", [field["const"]] if "const" in field else [_EXAMPLES_BY_TYPE[field["type"]]])
    return choices[0]


def _toml(value: Any) -> str:
    """Texts, numbers, truth values and lists of them are written alike in JSON and TOML."""
    return json.dumps(value, ensure_ascii=False)
