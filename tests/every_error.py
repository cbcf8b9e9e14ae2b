"""Watches every error that any test gets from alcove: its body is OpenAI's error, or the test fails.

`tests/conftest.py` lays it around the HTTP clients; `tests/raw.py` shows it what came over bare sockets.
"""

import json
import re
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import httpx
import httpx2
import pytest

from tests.conformance.schema import check

seen = 0
"""Errors so far."""
problems: list[str] = []
"""What was wrong with those of the present test."""

_HEAD = re.compile(rb"HTTP/1\.1 ([45]\d\d) .*?\r\n\r\n", re.DOTALL)


def watch(patch: pytest.MonkeyPatch) -> None:
    """See what all clients of both HTTP libraries receive."""
    for library in (httpx, httpx2):
        patch.setattr(library.Client, "send", _watched(library.Client.send))
        patch.setattr(library.AsyncClient, "send", _watched_async(library.AsyncClient.send))


def see_raw(answers: bytes) -> None:
    """See the complete errors among the answers of a connection."""
    for head in _HEAD.finditer(answers):
        length = re.search(rb"content-length: (\d+)", head[0])
        body = answers[head.end() : head.end() + int(length[1] if length else 0)]
        if length and len(body) == int(length[1]):
            _see(int(head[1]), body, b"content-type: application/json" in head[0] and b"x-request-id: req_" in head[0])


def _see(status: int, body: bytes, labelled: bool) -> None:
    global seen
    seen += 1
    if problem := _problem(body):
        problems.append(f"{status}: {problem}")
    if not labelled:
        problems.append(f"{status}: no JSON, or no id: {body[:200]!r}")


@cache
def _problem(body: bytes) -> str | None:
    try:
        check("ErrorResponse", json.loads(body))
    except (ValueError, AssertionError) as error:
        return f"{error}: {body[:200]!r}"
    return None


def _is_error(response: Any) -> bool:
    """Whether it is one of alcove's; tests have other servers, too."""
    named = response.headers.get("x-request-id", "").startswith("req_")
    return named and response.status_code >= 400 and response.request.method != "HEAD"


def _see_response(response: Any) -> None:
    _see(response.status_code, response.content, response.headers.get("content-type") == "application/json")


def _watched(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    def watching(self: Any, request: Any, **options: Any) -> Any:
        response = send(self, request, **options)
        if _is_error(response):
            response.read()
            _see_response(response)
        return response

    return watching


def _watched_async(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    async def watching(self: Any, request: Any, **options: Any) -> Any:
        response = await send(self, request, **options)
        if _is_error(response):
            await response.aread()
            _see_response(response)
        return response

    return watching
