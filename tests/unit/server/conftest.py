"""A server of one application, which answers what it was asked, behind alcove's HTTP protocol."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
import uvloop

from alcove.cli.listen import bind
from alcove.server.http_protocol import BoundedHttp
from alcove.server.http_refusals import REFUSED, Refusal


async def parrot(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the request; `/stream` in pieces and without a length, `/unread` before it has read the body."""
    body, more = b"", scope["path"] != "/unread"
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await asyncio.sleep(0.02)
    names = ",".join(name.decode() for name, _ in scope["headers"])
    said = f"<{scope['method']} {scope['path']} {body.decode()} {names}>".encode()
    stream = scope["path"] == "/stream"
    headers = [] if stream else [(b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if stream:
        for piece in (said[:5], said[5:]):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0.02)
        said = b""
    await send({"type": "http.response.body", "body": said})


@pytest.fixture(scope="module")
def refusals() -> list[tuple[Refusal, str, bool]]:
    """What the protocol behind `port` has told of its refusals, in a module."""
    return []


@pytest.fixture(scope="module")
def port(refusals: list[tuple[Refusal, str, bool]]) -> Iterator[int]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await parrot(scope, receive, send)
            return
        scope["state"][REFUSED] = lambda *told: refusals.append(told)
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})

    sockets = bind("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(app, http=BoundedHttp, lifespan="on", log_config=None, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=lambda: uvloop.run(server.serve(sockets)))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()
