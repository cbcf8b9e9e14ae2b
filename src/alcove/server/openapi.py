"""The OpenAPI document: FastAPI's, with the bodies that the routes read and write themselves."""

from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from alcove.protocol.chat import ChatChunk, ChatCompletion, ChatRequest
from alcove.protocol.completions import Completion, CompletionRequest
from alcove.protocol.errors import ErrorBody
from alcove.protocol.models import EngineList, EngineObject, ModelList, ModelObject

_REFERENCE = "#/components/schemas/{name}"

REQUESTS: dict[tuple[str, str], type] = {
    ("post", "/v1/completions"): CompletionRequest,
    ("post", "/v1/engines/{engine}/completions"): CompletionRequest,
    ("post", "/v1/chat/completions"): ChatRequest,
}
RESPONSES: dict[tuple[str, str], type] = {
    ("post", "/v1/completions"): Completion,
    ("post", "/v1/engines/{engine}/completions"): Completion,
    ("post", "/v1/chat/completions"): ChatCompletion,
    ("get", "/v1/models"): ModelList,
    ("get", "/v1/models/{model}"): ModelObject,
    ("get", "/v1/engines"): EngineList,
    ("get", "/v1/engines/{engine}"): EngineObject,
}
STREAMS: dict[tuple[str, str], type] = {
    ("post", "/v1/completions"): Completion,
    ("post", "/v1/engines/{engine}/completions"): Completion,
    ("post", "/v1/chat/completions"): ChatChunk,
}


def install(app: FastAPI) -> None:
    """Complete the document that the application generates."""
    generate: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(generate())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    requests = sorted(set(REQUESTS.values()), key=lambda wire: wire.__name__)
    _, request_schemas = models_json_schema(
        [(wire, "validation") for wire in requests], ref_template=_REFERENCE.replace("{name}", "{model}")
    )
    answers = {*RESPONSES.values(), *STREAMS.values(), ErrorBody}
    _, answer_schemas = msgspec.json.schema_components(answers, ref_template=_REFERENCE)
    document.setdefault("components", {}).setdefault("schemas", {}).update(request_schemas["$defs"] | answer_schemas)
    for (method, path), wire in REQUESTS.items():
        document["paths"][path][method]["requestBody"] = {
            "required": True,
            "content": {"application/json": _schema(wire)},
        }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = {}
            if answer := RESPONSES.get((method, path)):
                content["application/json"] = _schema(answer)
            if chunk := STREAMS.get((method, path)):
                content["text/event-stream"] = _schema(chunk)
            responses = {"200": {"description": "Success", **({"content": content} if content else {})}}
            responses["default"] = {"description": "Error", "content": {"application/json": _schema(ErrorBody)}}
            operation["responses"] = responses
    return document


def _schema(wire: type) -> dict[str, Any]:
    return {"schema": {"$ref": _REFERENCE.format(name=wire.__name__)}}
