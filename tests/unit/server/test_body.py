"""A request's body on its way to be parsed."""

import threading

import pytest
from starlette.requests import Request
from starlette.types import Message

from alcove.errors import InvalidRequest
from alcove.server.body import LARGE_BYTES, parsed


def request_with(body: bytes) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


@pytest.mark.parametrize(("size", "on_the_loop"), [(LARGE_BYTES, True), (LARGE_BYTES + 1, False)])
async def test_a_large_body_does_not_hold_up_the_loop(size: int, on_the_loop: bool) -> None:
    def parse(body: bytes) -> tuple[int, threading.Thread]:
        return len(body), threading.current_thread()

    length, thread = await parsed(request_with(b"x" * size), 10 * LARGE_BYTES, parse)
    assert length == size
    assert (thread is threading.current_thread()) == on_the_loop


@pytest.mark.parametrize("size", [1, LARGE_BYTES + 1])
async def test_a_refusal_comes_through(size: int) -> None:
    def refuse(body: bytes) -> None:
        raise InvalidRequest("no", param="prompt")

    with pytest.raises(InvalidRequest, match="no"):
        await parsed(request_with(b"x" * size), 10 * LARGE_BYTES, refuse)
