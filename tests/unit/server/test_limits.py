"""Which requests count, whom they are counted for, and what is answered when there were enough."""

import json
from typing import Any

import pytest

from alcove.metrics.record import Record, current
from alcove.server.access.limits import Limits
from alcove.server.access.quota import Quota


class Server:
    """The layer under test before an application that uses ten tokens, or fails."""

    def __init__(self, quota: Quota) -> None:
        self.now = 0.0
        self.failing = False
        self._layer = Limits(self._application, quota, lambda: self.now)

    async def __call__(self, caller: str | None = "one", method: str = "POST", path: str = "/v1/completions") -> Any:
        """The status, the headers and the body of an answer."""
        sent: list[dict[str, Any]] = []

        async def receive() -> Any:
            raise AssertionError("the body is not read")

        async def send(message: Any) -> None:
            sent.append(message)

        current.set(Record(method=method, caller=caller))
        await self._layer({"type": "http", "method": method, "path": path, "headers": []}, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        record = current.get()
        assert record is not None
        record.prompt_tokens, record.completion_tokens = 4, 6
        if self.failing:
            raise RuntimeError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def test_requests_a_minute_are_counted_a_caller() -> None:
    server = Server(Quota(requests=2))
    assert [(await server())[0] for _ in range(3)] == [200, 200, 429]
    assert (await server("other"))[0] == 200
    server.now = 42.5
    status, headers, body = await server()
    assert status == 429
    assert headers[b"retry-after"] == b"18"
    assert json.loads(body)["error"] == {
        "message": "A key may have 2 requests a minute here. Try again in 18 s.",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    server.now = 60.0
    assert (await server())[0] == 200


async def test_tokens_are_those_of_the_record_however_the_request_ends() -> None:
    server = Server(Quota(tokens=20, concurrency=1))
    server.failing = True
    for _ in range(2):
        with pytest.raises(RuntimeError):
            await server()
    assert (await server())[0] == 429


async def test_looking_and_administration_do_not_count() -> None:
    server = Server(Quota(requests=1))
    for _ in range(3):
        assert (await server(method="GET", path="/v1/models"))[0] == 200
        assert (await server(path="/admin/models/a/load"))[0] == 200
    assert (await server())[0] == 200
    assert (await server())[0] == 429


async def test_without_keys_all_are_one() -> None:
    server = Server(Quota(requests=1))
    assert [(await server(None))[0] for _ in range(2)] == [200, 429]
