"""The outermost layer, in this process: clients cannot grow the number of series, and every answer has an id."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import ASGIApp

from alcove.config.settings import ModelSettings, Settings
from alcove.server.app import create_app

SETTINGS = Settings(models=(ModelSettings(name="echo", source="builtin:echo", engine="echo"),))


@asynccontextmanager
async def started(app: ASGIApp) -> AsyncIterator[None]:
    """Runs the lifespan, as an ASGI server does."""
    said: asyncio.Queue[Any] = asyncio.Queue()
    heard: asyncio.Queue[Any] = asyncio.Queue()
    await heard.put({"type": "lifespan.startup"})
    task = asyncio.create_task(app({"type": "lifespan", "state": {}, "asgi": {"version": "3.0"}}, heard.get, said.put))  # type: ignore[arg-type]
    assert (await said.get())["type"] == "lifespan.startup.complete"
    yield
    await heard.put({"type": "lifespan.shutdown"})
    await task


async def ask(
    app: ASGIApp, path: str, body: object = None, method: str = "POST", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One request; the answer's status, headers and body."""
    content = json.dumps(body).encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), *((k.replace("_", "-").encode(), v.encode()) for k, v in headers.items())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    asked = False
    told: list[Any] = []

    async def receive() -> Any:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    await app(scope, receive, send)
    answered = {name.decode(): value.decode() for name, value in told[0]["headers"]}
    return told[0]["status"], answered, b"".join(message.get("body", b"") for message in told[1:])


async def test_ten_thousand_names_make_no_series() -> None:
    app = create_app(SETTINGS)
    async with started(app):
        requests = (
            ("/v1/completions", {"model": "m{}", "prompt": "x"}),
            ("/v1/nowhere/{}", {}),
            ("/v1/engines/e{}/completions", {"prompt": "x"}),
            ("/v1/completions", {"prompt": "x", "field{}": 1}),
        )

        async def series() -> list[str]:
            lines = (await ask(app, "/metrics", method="GET"))[2].decode().split("\n")
            return [line.rpartition(" ")[0] for line in lines if not line.startswith(("#", "python_gc"))]

        async def send(number: int) -> int:
            path, body = requests[number % len(requests)]
            named = json.loads(json.dumps(body).replace("{}", str(number)) if body else "{}")
            return (await ask(app, path.format(number), named, x_request_id=f"r{number}"))[0]

        assert {await send(number) for number in range(8)} == {400, 404}
        await series()  # its own answer is counted
        before = await series()
        for number in range(10_000):
            await send(number)
        assert await series() == before


async def test_every_answer_has_one_id() -> None:
    app = create_app(SETTINGS)
    async with started(app):
        for path in ("/v1/completions", "/nowhere", "/v1/models"):
            _, headers, _ = await ask(app, path, {"prompt": "x"})
            assert headers["x-request-id"].startswith("req_")
            _, headers, _ = await ask(app, path, {"prompt": "x"}, x_request_id="mine")
            assert headers["x-request-id"] == "mine"


async def test_what_nobody_has_caught_is_an_answer_with_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr("alcove.server.routes.models.ModelList", broken)
    app = create_app(SETTINGS)
    async with started(app):
        status, headers, body = await ask(app, "/v1/models", method="GET", x_request_id="mine")
        assert (status, headers["x-request-id"]) == (500, "mine")
        error = json.loads(body)["error"]
        assert (error["code"], "mine" in error["message"], "secret" in error["message"]) == (
            "internal_error",
            True,
            False,
        )
