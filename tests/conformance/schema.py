"""OpenAI's own schema as the judge of every body."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

DOCUMENT = Path(__file__).parent / "openai-openapi.yaml"


@cache
def _document() -> dict[str, Any]:
    with DOCUMENT.open() as file:
        document = yaml.load(file, Loader=yaml.CSafeLoader)
    schemas = document["components"]["schemas"]
    # OpenAI itself sends a null finish_reason in the chunks of a completion; its schema forbids it
    choice = schemas["CreateCompletionResponse"]["properties"]["choices"]["items"]["properties"]
    choice["finish_reason"] = {"anyOf": [choice["finish_reason"], {"type": "null"}]}
    # and null for the first token of an echoed prompt
    logprobs = choice["logprobs"]["anyOf"][0]["properties"]
    for name in ("token_logprobs", "top_logprobs"):
        logprobs[name]["items"] = {"anyOf": [logprobs[name]["items"], {"type": "null"}]}
    return {"components": {"schemas": _plain(schemas)}}


def _plain(node: Any) -> Any:
    """The document says 3.1 but still writes OpenAPI 3.0's `nullable`, which JSON Schema does not know."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _plain(value) for key, value in node.items() if key != "nullable"}
    if node.get("nullable") is True:
        return {"anyOf": [plain, {"type": "null"}]}
    return plain


def check(name: str, body: Any) -> None:
    """Raise unless the body is what OpenAI's schema of this name says."""
    validator = Draft202012Validator({**_document(), "$ref": f"#/components/schemas/{name}"})
    problems = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]
    assert not problems, problems
