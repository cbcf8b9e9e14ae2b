"""The OpenAPI document: FastAPI's, with the bodies that the routes read and write themselves."""

from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from alcove.protocol.chat import ChatChunk, ChatCompletion, ChatRequest
from alcove.protocol.completions import Completion, CompletionRequest
from alcove.protocol.errors import ErrorBody
from alcove.protocol.models import EngineList, EngineObject, ModelList, ModelObject
from alcove.protocol.tokens import (
    Detokenized,
    DetokenizeRequest,
    ScoreRequest,
    Scores,
    TokenizeChat,
    TokenizeText,
    Tokens,
)

REQUESTS: dict[tuple[str, str], type[BaseModel] | tuple[type[BaseModel], ...]] = {
    ("post", "/v1/completions"): CompletionRequest,
    ("post", "/v1/engines/{engine}/completions"): CompletionRequest,
    ("post", "/v1/chat/completions"): ChatRequest,
    ("post", "/v1/tokenize"): (TokenizeText, TokenizeChat),
    ("post", "/v1/detokenize"): DetokenizeRequest,
    ("post", "/v1/score"): ScoreRequest,
}
"""The body of each operation, or the bodies that it takes."""
RESPONSES: dict[tuple[str, str], type] = {
    ("post", "/v1/completions"): Completion,
    ("post", "/v1/engines/{engine}/completions"): Completion,
    ("post", "/v1/chat/completions"): ChatCompletion,
    ("post", "/v1/tokenize"): Tokens,
    ("post", "/v1/detokenize"): Detokenized,
    ("post", "/v1/score"): Scores,
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

ERRORS: dict[int, str] = {
    400: "The request is malformed, or asks for what cannot be honoured; `param` names the field.",
    401: "No API key, or a wrong one.",
    403: "Not for this client.",
    404: "No such model is served, or nothing is here by these settings.",
    408: "The request did not come in time.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "Too many requests with this key; `retry-after` says when to come again.",
    431: "The head of the request is too large.",
    500: "The server failed on the request; its log says why.",
    503: "The queue is full, the model not loaded, or the server is stopping; `retry-after` says when to come again.",
    504: "The answer took too long.",
}
"""What each status means, with OpenAI's error object as the body."""
_OF_BODIES = {408, 413, 415}
_OF_MODELS = {504}


def install(app: FastAPI) -> None:
    """Complete the document that the application generates."""
    generate: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(generate())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    document.setdefault("components", {}).setdefault("schemas", {}).update(_components())
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            here = method, path
            if here in REQUESTS:
                operation["requestBody"] = {"required": True, "content": _content("application/json", REQUESTS[here])}
            success: dict[str, Any] = {"description": "Success"}
            if here in RESPONSES:
                success["content"] = _content("application/json", RESPONSES[here])
            if here in STREAMS:
                success["content"] |= _content("text/event-stream", STREAMS[here])
            operation["responses"] = {"200": success, **_errors(body=here in REQUESTS, model="{" in path)}
    return document


def _errors(*, body: bool, model: bool) -> dict[str, Any]:
    """The errors of an operation that takes a body, which may name a model, or has a model in its path."""
    left_out = (set() if body else _OF_BODIES) | (set() if body or model else _OF_MODELS)
    content = _content("application/json", ErrorBody)
    return {
        str(status): {"description": description, "content": content}
        for status, description in ERRORS.items()
        if status not in left_out
    }


def _components() -> dict[str, Any]:
    """The schemas of all wire types, by name."""
    bodies = [body for wire in REQUESTS.values() for body in (wire if isinstance(wire, tuple) else (wire,))]
    _, schemas = models_json_schema(
        [(body, "validation") for body in dict.fromkeys(bodies)], ref_template="#/components/schemas/{model}"
    )
    answers = {*RESPONSES.values(), *STREAMS.values(), ErrorBody}
    _, answer_schemas = msgspec.json.schema_components(answers, ref_template="#/components/schemas/{name}")
    return {**schemas["$defs"], **answer_schemas}


def _content(media_type: str, wire: type | tuple[type, ...]) -> dict[str, Any]:
    if isinstance(wire, tuple):
        return {media_type: {"schema": {"anyOf": [_reference(one) for one in wire]}}}
    return {media_type: {"schema": _reference(wire)}}


def _reference(wire: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{wire.__name__}"}
