"""Sends an answer, whole or as server-sent events: the only place that knows which of the two was asked for.

The first chunk is awaited before the status is chosen, so what fails early has an honest status in both modes. One
watcher a request sees the client leave, whatever the mode, and ends the work.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from alcove.errors import ShuttingDown
from alcove.jobs import Event
from alcove.protocol.render import Renderer
from alcove.server import errors

_encode = msgspec.json.Encoder().encode


class Answer(Response):
    """The response of a generating endpoint."""

    def __init__(
        self, events: AsyncGenerator[Event, None], renderer: Renderer[Any], *, stream: bool, include_usage: bool
    ) -> None:
        super().__init__()
        self._events = events
        self._renderer = renderer
        self._stream = stream
        self._include_usage = include_usage
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, or stop working on it when the client leaves."""
        answering = asyncio.create_task(self._answer(scope, receive, send))
        watching = asyncio.create_task(_client_left(receive))
        failure: BaseException | None = None
        try:
            await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # uvicorn cancels what still runs when the time to drain is over
            failure = ShuttingDown("The server was stopped before the answer was complete.")
        watching.cancel()
        answering.cancel()
        await asyncio.wait({answering})
        if not answering.cancelled():
            failure = answering.exception() or failure
        if failure is None:
            return
        if self._begun:  # the status is gone: an error event, and no [DONE] after it, tells the client
            errors.log(failure)
            await _send_event(send, errors.body(failure), last=True)
        else:
            await errors.response(failure)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._chunks()) as chunks:
            first = await anext(chunks)
            if self._stream:
                await self._send_stream(send, first, chunks)
                return
            whole = self._renderer.fold([first, *[chunk async for chunk in chunks], self._renderer.usage()])
        await Response(_encode(whole), media_type="application/json")(scope, receive, send)

    async def _send_stream(self, send: Send, first: Any, rest: AsyncIterator[Any]) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        self._begun = True
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _send_event(send, _encode(first))
        async for chunk in rest:
            await _send_event(send, _encode(chunk))
        if self._include_usage:
            await _send_event(send, _encode(self._renderer.usage()))
        await _send_event(send, b"[DONE]", last=True)

    async def _chunks(self) -> AsyncGenerator[Any, None]:
        async with aclosing(self._events) as events:
            async for event in events:
                if (chunk := self._renderer.chunk(event)) is not None:
                    yield chunk


async def _send_event(send: Send, data: bytes, *, last: bool = False) -> None:
    await send({"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": not last})


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
