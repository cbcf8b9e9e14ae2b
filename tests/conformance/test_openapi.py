"""The server's own OpenAPI document, held to by schemathesis: no failures of ours, no status and no form of an answer
that it does not tell of, nothing wrong accepted, nothing open without a key."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.serving import Server, clean_environment, running

KEY, ADMIN_KEY = "sk-0123456789abcdef", "admin-0123456789abcdef"
MODEL = """
[server]
docs = true
[[model]]
name = "echo"
source = "builtin:echo"
engine = "echo"
"""
SCHEMATHESIS = f"""
headers = {{ Authorization = "Bearer {KEY}" }}
[[operations]]
include-path-regex = "^/admin/"
headers = {{ Authorization = "Bearer {ADMIN_KEY}" }}
"""


def some(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


TEXT = {"type": "string", "minLength": 1}
ID = {"type": "integer", "minimum": 0, "maximum": 256}
PART = {"type": "object", "properties": {"type": {"const": "text"}, "text": TEXT}, "required": ["type", "text"]}
CONTENT = [TEXT, some(PART), {"type": "null"}]
NO_LANGUAGE = {"source_lang": {"type": "null"}, "target_lang": {"type": "null"}}
OF_THE_MODEL: dict[str, dict[str, Any]] = {
    "CompletionRequest": NO_LANGUAGE | {"prompt": {"anyOf": [TEXT, some(TEXT), some(ID), some(some(ID))]}},
    "ChatMessage": {"content": {"anyOf": CONTENT}, "role": {"enum": ["system", "user", "assistant"]}},
    "ChatRequest": NO_LANGUAGE,
    "TokenizeText": NO_LANGUAGE,
    "TokenizeChat": NO_LANGUAGE,
    "ScoreRequest": NO_LANGUAGE | {name: {"anyOf": [TEXT, some(TEXT)]} for name in ("text_1", "text_2")},
    "DetokenizeRequest": {"tokens": {"type": "array", "items": ID}},
}
"""Fields by schema, as this model takes them: were the simplest of requests refused for its prompt, nothing could be
found out about its other fields."""
INHERENT = ["positive_data_acceptance"]
"""Checks that cannot hold: what depends on the model's length or on two fields together no schema can say, and such a
request is refused though the document allows it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "alcove.toml").write_text(MODEL)
    with running("serve", cwd=folder, environment={"ALCOVE_API_KEYS": KEY, "ALCOVE_ADMIN_KEYS": ADMIN_KEY}) as server:
        yield server


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A field that may be null, which is as if it were left out: the document does not say so everywhere. Its default
    stays: it is what the simplest of requests has."""
    null = {"type": "null"}
    if "anyOf" not in schema:
        return {"anyOf": [schema, null], "default": schema.get("default")}
    return schema if null in schema["anyOf"] else schema | {"anyOf": [*schema["anyOf"], null]}


def told_of(document: dict[str, Any]) -> dict[str, Any]:
    """The document of this very server: with its keys and its model, which are settings. Without the schemas of a
    stream's events: OpenAPI 3.1 has no way to say that they are those of `data`, and schemathesis holds them against
    the events themselves. What a chunk holds is in `test_schema.py`."""
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path.startswith("/health") else [{"key": []}]
            operation["responses"]["200"].get("content", {}).get("text/event-stream", {}).pop("schema", None)
    schemas = {name: schema.get("properties", {}) for name, schema in document["components"]["schemas"].items()}
    for name, fields in OF_THE_MODEL.items():
        assert schemas[name].keys() >= fields.keys()
        schemas[name].update(fields)
    for name, schema in document["components"]["schemas"].items():
        if name in OF_THE_MODEL:
            for field in schemas[name].keys() - set(schema["required"]):
                schemas[name][field] = or_null(schemas[name][field])
    del schemas["ChatRequest"]["top_logprobs"]  # not without `logprobs`, which would refuse the simplest of requests
    return document


def answered(server: Server) -> int:
    """How many requests the model has answered to their end."""
    text = server.get("/metrics", headers={"authorization": f"Bearer {KEY}"}).text
    lines = [line for line in text.splitlines() if line.startswith("alcove:request_success_total{")]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


def test_every_operation_keeps_to_the_document(server: Server, tmp_path: Path) -> None:
    """By requests that the document allows, by some that it does not, by those at the limits of each field, and by one
    after another as links between operations suggest. The command line does it: schemathesis' fixtures (4.32) need a
    field of pytest's that 9.2 has no more."""
    document = told_of(server.get("/openapi.json").json())
    assert sum(map(len, document["paths"].values())) > 10
    (tmp_path / "document.json").write_text(json.dumps(document))
    (tmp_path / "schemathesis.toml").write_text(SCHEMATHESIS)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"]
    tried = ["run", "document.json", "--url", server.url, "--phases", "coverage,fuzzing,stateful", "--checks", "all"]
    how = ["--exclude-checks", ",".join(INHERENT), "--seed", "6", "--continue-on-failure", "--no-color"]
    how += ["--max-examples", str(settings.default.max_examples // 2)]
    ran = subprocess.run(
        [*command, *tried, *how], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=3600
    )
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-8000:]
    assert "Stateful" in ran.stdout
    assert answered(server) > 50, "much of it is accepted, too"
