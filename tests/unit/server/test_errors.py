"""What is answered to each error, what the request's record is told, and what goes to the log."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from alcove.errors import (
    ConfigurationError,
    ContextLengthExceeded,
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
from alcove.metrics.record import Record, current
from alcove.server import errors

OURS = "The server failed on this request; its log says why"


@pytest.fixture
def record() -> Iterator[Record]:
    record = Record(id="req-1")
    token = current.set(record)
    yield record
    current.reset(token)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InvalidRequest("m", param="a[0]", code="c"), 400, ("m", "invalid_request_error", "a[0]", "c")),
        (InvalidRequest("m"), 400, ("m", "invalid_request_error", None, None)),
        (ContextLengthExceeded("m"), 400, ("m", "invalid_request_error", None, "context_length_exceeded")),
        (errors.InvalidKey("m"), 401, ("m", "invalid_request_error", None, "invalid_api_key")),
        (errors.Forbidden("m"), 403, ("m", "permission_error", None, "forbidden")),
        (errors.UnknownUrl("m"), 404, ("m", "invalid_request_error", None, "unknown_url")),
        (ModelNotFound("m"), 404, ("m", "invalid_request_error", "model", "model_not_found")),
        (errors.ContentTooLarge("m"), 413, ("m", "invalid_request_error", None, "content_too_large")),
        (errors.UnsupportedMediaType("m"), 415, ("m", "invalid_request_error", None, "unsupported_media_type")),
        (errors.RateLimited("m", 7), 429, ("m", "rate_limit_error", None, "rate_limit_exceeded")),
        (errors.ClientGone("m"), 499, ("m", "invalid_request_error", None, None)),
        (EngineFailure("secret"), 500, (f"{OURS}.", "server_error", None, "internal_error")),
        (EngineDied("secret"), 500, (f"{OURS}.", "server_error", None, "internal_error")),
        (ZeroDivisionError("secret"), 500, (f"{OURS}.", "server_error", None, "internal_error")),
        (Overloaded("m"), 503, ("m", "service_unavailable_error", None, "server_is_overloaded")),
        (ModelLoading("m"), 503, ("m", "service_unavailable_error", None, "model_loading")),
        (OutOfMemory("m"), 503, ("m", "service_unavailable_error", None, "insufficient_memory")),
        (ModelUnavailable("m"), 503, ("m", "service_unavailable_error", None, "model_unavailable")),
        (ModelLoadError("m"), 503, ("m", "service_unavailable_error", None, "model_unavailable")),
        (ConfigurationError("m"), 503, ("m", "service_unavailable_error", None, "model_unavailable")),
        (ShuttingDown("m"), 503, ("m", "service_unavailable_error", None, "shutting_down")),
        (DeadlineExceeded("m"), 504, ("m", "server_error", None, "timeout")),
    ],
)
def test_each_has_its_status_and_body(error: Exception, status: int, said: tuple[str | None, ...]) -> None:
    answer = errors.response(error)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(bytes(answer.body)) == {
        "error": dict(zip(("message", "type", "param", "code"), said, strict=True))
    }


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (errors.InvalidKey("m"), "www-authenticate", "Bearer"),
        (errors.RateLimited("m", 7), "retry-after", "7"),
        (Overloaded("m"), "retry-after", "1"),
        (ShuttingDown("m"), "retry-after", "1"),
        (ModelLoading("m"), "retry-after", "5"),
        (OutOfMemory("m"), "retry-after", "5"),
        (ModelUnavailable("m"), "retry-after", "30"),
        (InvalidRequest("m"), "retry-after", None),
        (EngineFailure("m"), "x-should-retry", None),
        (EngineDied("m"), "x-should-retry", "false"),
    ],
)
def test_what_a_client_should_do_is_in_a_header(error: Exception, name: str, value: str | None) -> None:
    assert errors.response(error).headers.get(name) == value


def test_our_own_fault_is_named_by_the_request(record: Record, caplog: pytest.LogCaptureFixture) -> None:
    error = RuntimeError("/a/path")
    answer = errors.response(error)
    assert json.loads(bytes(answer.body))["error"]["message"] == f"{OURS}, under req-1."
    (told,) = caplog.records
    assert (told.message, told.levelno) == ("Failed on a request", logging.ERROR)
    assert told.exc_info is not None
    assert told.exc_info[1] is error
    assert (record.failed, record.code) == (True, "internal_error")


def test_a_fault_of_the_client_goes_to_the_record_only(record: Record, caplog: pytest.LogCaptureFixture) -> None:
    errors.response(InvalidRequest("m", code="invalid_value"))
    assert (record.failed, record.code) == (True, "invalid_value")
    assert not caplog.records


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    errors.install(app)

    @app.get("/fails/{how}")
    async def fails(how: str) -> None:
        assert how == "own"
        raise ModelNotFound("m")

    @app.get("/works")
    async def works() -> None:
        """Nothing."""

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/nowhere", 404, {"message": "Not Found: GET /nowhere", "code": "unknown_url"}),
        ("POST", "/works", 405, {"message": "Method Not Allowed: POST /works", "code": "method_not_allowed"}),
        ("GET", "/fails/own", 404, {"message": "m", "param": "model", "code": "model_not_found"}),
    ],
)
async def test_every_error_of_an_application_is_openais(
    client: httpx.AsyncClient, record: Record, method: str, path: str, status: int, said: dict[str, Any]
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"error": {"type": "invalid_request_error", "param": None, **said}}
    assert (record.failed, record.code) == (True, said["code"])
    assert answer.headers.get("allow") == ("GET" if status == 405 else None)
