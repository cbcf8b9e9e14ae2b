"""Which requests count, whom they are counted for, and what is answered when there were enough."""

import json
from typing import Any

import pytest

from alcove.config.settings import AuthSettings
from alcove.metrics.record import Record, current
from alcove.server.access.limits import Limits, quota_of
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


def test_the_settings_say_what_a_key_may_use() -> None:
    settings = AuthSettings(key_concurrency=1, key_requests_per_minute=2, key_tokens_per_minute=3)
    assert quota_of(settings) == Quota(concurrency=1, requests=2, tokens=3)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_passes_is_handed_on_as_it_is(method: str) -> None:
    handed: list[Any] = []

    async def application(*given: Any) -> None:
        handed.extend(given)

    current.set(Record(method=method))
    given: tuple[Any, Any, Any] = ({"type": "http", "path": "/v1/completions"}, object(), object())
    await Limits(application, Quota(requests=1))(*given)
    assert handed[:2] == list(given[:2])


async def test_a_caller_out_of_tokens_is_told_so() -> None:
    server = Server(Quota(tokens=1))
    await server()
    assert json.loads((await server())[2])["error"]["message"].startswith("A key may have 1 tokens a minute here.")


async def test_a_request_is_over_with_its_last_message_and_not_before() -> None:
    """A client that has read the end may send its next request at once."""
    record = Record(method="POST")
    current.set(record)
    scope = {"type": "http", "path": "/v1/completions", "headers": []}
    last = {"type": "http.response.body", "body": b""}
    statuses: list[int] = []

    async def next_one(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def streaming(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send(last)

    layer = Limits(streaming, Quota(concurrency=1))
    seen: list[str] = []

    async def client(message: Any) -> None:
        seen.append(message["type"])
        if len(seen) <= 3:
            await layer(scope, None, next_one)  # type: ignore[arg-type]

    await layer(scope, None, client)  # type: ignore[arg-type]
    assert statuses == [429, 429, 200]
