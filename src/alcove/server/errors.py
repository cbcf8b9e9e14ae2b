"""The one table from what went wrong to what HTTP and OpenAI call it."""

import logging
from http import HTTPStatus
from typing import NamedTuple

import msgspec
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from alcove.errors import (
    AlcoveError,
    ConfigurationError,
    DeadlineExceeded,
    EngineDied,
    EngineFailure,
    InvalidRequest,
    ModelLoadError,
    ModelLoading,
    ModelNotFound,
    ModelUnavailable,
    OutOfMemory,
    Overloaded,
    ShuttingDown,
)
from alcove.metrics.record import current
from alcove.protocol.errors import ErrorBody, ErrorObject

logger = logging.getLogger(__name__)


class InvalidKey(AlcoveError):
    """No bearer token, or none that is accepted."""


class Forbidden(AlcoveError):
    """The key does not open this, or the request comes from where none may come from."""


class UnknownUrl(AlcoveError):
    """Nothing is there."""


class RateLimited(AlcoveError):
    """The key has used what it may use for now."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """When to try again; OpenAI's client does not when it is over 120."""


class ContentTooLarge(AlcoveError):
    """The request's body is over the limit."""


class UnsupportedMediaType(AlcoveError):
    """The request's body says that it is not JSON."""


class ClientGone(AlcoveError):
    """The client left before its request had come in whole; nobody reads the answer."""


class Meaning(NamedTuple):
    """How HTTP and OpenAI name an error."""

    status: int
    type: str
    code: str | None
    headers: tuple[tuple[str, str], ...] = ()


_INTERNAL = Meaning(500, "server_error", "internal_error")
_RETRY = (("retry-after", "1"),)
_SOON, _LATER = (("retry-after", "5"),), (("retry-after", "30"),)
_UNAVAILABLE = Meaning(503, "service_unavailable_error", "model_unavailable", _LATER)

MEANINGS: dict[type[AlcoveError], Meaning] = {
    InvalidRequest: Meaning(400, "invalid_request_error", None),
    InvalidKey: Meaning(401, "invalid_request_error", "invalid_api_key", (("www-authenticate", "Bearer"),)),
    Forbidden: Meaning(403, "permission_error", "forbidden"),
    UnknownUrl: Meaning(404, "invalid_request_error", "unknown_url"),
    ModelNotFound: Meaning(404, "invalid_request_error", "model_not_found"),
    ContentTooLarge: Meaning(413, "invalid_request_error", "content_too_large"),
    UnsupportedMediaType: Meaning(415, "invalid_request_error", "unsupported_media_type"),
    RateLimited: Meaning(429, "rate_limit_error", "rate_limit_exceeded"),
    EngineFailure: _INTERNAL,
    # or OpenAI's clients would send twice more what ends a process: five times in a row, and the model is given up
    EngineDied: _INTERNAL._replace(headers=(("x-should-retry", "false"),)),
    ClientGone: Meaning(499, "invalid_request_error", None),
    Overloaded: Meaning(503, "service_unavailable_error", "server_is_overloaded", _RETRY),
    ModelLoading: Meaning(503, "service_unavailable_error", "model_loading", _SOON),
    OutOfMemory: Meaning(503, "service_unavailable_error", "insufficient_memory", _SOON),
    ModelUnavailable: _UNAVAILABLE,
    # only who has an admin key is told of these, since their text tells of paths
    ModelLoadError: _UNAVAILABLE,
    ConfigurationError: _UNAVAILABLE,
    ShuttingDown: Meaning(503, "service_unavailable_error", "shutting_down", _RETRY),
    DeadlineExceeded: Meaning(504, "server_error", "timeout"),
}
"""An error type means what its nearest entry says; everything else is our own fault."""

_PARAMS: dict[type[AlcoveError], str] = {ModelNotFound: "model"}
_INTERNAL_MESSAGE = "The server failed on this request; its log says why"


def meaning(error: BaseException) -> Meaning:
    """What this error is to HTTP and OpenAI."""
    return next((MEANINGS[kind] for kind in type(error).__mro__ if kind in MEANINGS), _INTERNAL)


def body(error: BaseException) -> bytes:
    """OpenAI's error body. The text of our own faults stays in the log: it may tell of paths and addresses."""
    known = meaning(error)
    message = str(error)
    if known.code == _INTERNAL.code:
        record = current.get()
        message = f"{_INTERNAL_MESSAGE}." if record is None else f"{_INTERNAL_MESSAGE}, under {record.id}."
    param = _PARAMS.get(type(error)) if isinstance(error, AlcoveError) else None
    if isinstance(error, InvalidRequest):
        param = error.param
    return msgspec.json.encode(ErrorBody(ErrorObject(message, known.type, param, _code(error))))


def _code(error: BaseException) -> str | None:
    return error.code if isinstance(error, InvalidRequest) else meaning(error).code


def response(error: BaseException) -> Response:
    """The whole answer to a request that failed."""
    known = meaning(error)
    log(error)
    headers = dict(known.headers)
    if isinstance(error, RateLimited):
        headers["retry-after"] = str(error.retry_after_s)
    return Response(body(error), known.status, headers, media_type="application/json")


def log(error: BaseException) -> None:
    """Note in the request's record that it has failed; what is our own fault goes to the log, too."""
    if (record := current.get()) is not None:
        record.failed, record.code = True, _code(error)
    if meaning(error).code == _INTERNAL.code:
        logger.error("Failed on a request", exc_info=error)


def install(app: FastAPI) -> None:
    """Make the errors that are raised on purpose OpenAI errors, those of the routing included."""
    app.add_exception_handler(HTTPException, _from_routing)
    app.add_exception_handler(AlcoveError, _from_error)  # of others `observe.py` learns first


async def _from_error(request: Request, error: BaseException) -> Response:
    return response(error)


async def _from_routing(request: Request, error: BaseException) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "unknown_url", 405: "method_not_allowed"}.get(error.status_code)
    if (record := current.get()) is not None:
        record.failed, record.code = True, code
    message = f"{HTTPStatus(error.status_code).phrase}: {request.method} {request.scope['path']}"
    wire = ErrorBody(ErrorObject(message, "invalid_request_error", None, code))
    return Response(msgspec.json.encode(wire), error.status_code, error.headers, media_type="application/json")
