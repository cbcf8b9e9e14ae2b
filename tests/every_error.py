"""Watches every error that any test gets from alcove: its body is OpenAI's error, it has an id and it tells nothing of
the machine, or the test fails.

`tests/conftest.py` lays it around the HTTP clients; who reads bare sockets (`tests/raw.py`) shows it what came.
"""

import json
import re
from collections.abc import Callable, Mapping
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
foreign: set[int] = set()
"""Ports of servers that are not alcove; whatever else answers on this machine is."""

_HERE = {"127.0.0.1", "localhost", "::1"}
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEAD = re.compile(rb"HTTP/1\.1 ([45]\d\d) [^\r\n]*\r\n(.*?)\r\n\r\n", re.DOTALL)
_TELLING = re.compile(rb"0x[0-9a-f]{6}|/home/|/root/|Traceback|site-packages", re.IGNORECASE)
"""Addresses, folders and code: of use to an attacker, and to nobody else."""


def watch(patch: pytest.MonkeyPatch) -> None:
    """See what all clients of both HTTP libraries receive."""
    for library in (httpx, httpx2):
        patch.setattr(library.Client, "send", _watched(library.Client.send))
        patch.setattr(library.AsyncClient, "send", _watched_async(library.AsyncClient.send))


def judge() -> None:
    """Fail the present test if there was a problem; called after each."""
    found, problems[:] = list(problems), []
    if found:
        pytest.fail("Answers that are not as OpenAI's errors are:\n" + "\n".join(found), pytrace=False)


def see_raw(answers: bytes) -> None:
    """See the errors among the answers of a connection; of one that was cut, only that it says how long it is."""
    for head in _HEAD.finditer(answers):
        lines = (line.partition(b":") for line in head[2].split(b"\r\n"))
        headers = {name.decode().lower(): value.decode().strip() for name, _, value in lines}
        length = headers.get("content-length")
        body = answers[head.end() : head.end() + int(length or 0)]
        if length is None or len(body) == int(length):
            _see(int(head[1]), headers, body)


def _see(status: int, headers: Mapping[str, str], body: bytes | None) -> None:
    """`body` is None in the answer to HEAD, which has none."""
    global seen
    seen += 1
    if body is not None and (problem := _problem(body)):
        problems.append(f"{status}: {problem}")
    if headers.get("content-type") != "application/json":
        problems.append(f"{status}: not application/json: {body!r:.200}")
    if not _ID.fullmatch(headers.get("x-request-id", "")):
        problems.append(f"{status}: no x-request-id: {body!r:.200}")


@cache
def _problem(body: bytes) -> str | None:
    if telling := _TELLING.search(body):
        return f"tells of the machine: {telling[0]!r} in {body!r:.500}"
    try:
        check("ErrorResponse", json.loads(body))
    except (ValueError, AssertionError) as error:
        return f"{error}: {body!r:.200}"
    return None


def _is_error(response: Any) -> bool:
    """Whether it is an error of alcove."""
    url = response.request.url
    return response.status_code >= 400 and url.host in _HERE and url.port not in foreign


def _see_response(response: Any) -> None:
    _see(response.status_code, response.headers, None if response.request.method == "HEAD" else response.content)


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
