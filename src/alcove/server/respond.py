"""Sends an answer, whole or as server-sent events: the only place that knows which of the two was asked for.

The first chunk is awaited before the status is chosen, so what fails early has an honest status in both modes; a stream
that has nothing to say for long says so. One watcher a request sees the client leave, whatever the mode, and ends the
work.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any, Protocol

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from alcove.errors import ShuttingDown
from alcove.jobs import Event
from alcove.metrics.record import current
from alcove.protocol.render import Renderer
from alcove.server import errors

_encode = msgspec.json.Encoder().encode
_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
_DONE = b"data: [DONE]\n\n"
_PING = b": ping\n\n"
"""A comment of server-sent events, which every client passes over."""

_FIRST = asyncio.FIRST_COMPLETED

GATHER_S = 0.1
"""How long news may gather for a whole answer, which is sent at its end: the fewer times it is woken, the better."""

QUIET_S = 15.0
"""How long a stream may be silent. Then its head is sent, or a comment: proxies cut connections on which nothing has
come for a minute, which a long prompt or a full queue may well take."""


class Events(Protocol):
    """The events of an answer, whose news may gather for so many seconds before they are told."""

    def __call__(self, *, gather_s: float) -> AsyncGenerator[list[Event], None]:
        """Begin; the generator's end is the answer's."""


class Answer(Response):
    """The response of a generating endpoint."""

    def __init__(self, events: Events, renderer: Renderer[Any], *, stream: bool, include_usage: bool) -> None:
        super().__init__()
        self._events = events(gather_s=0.0 if stream else GATHER_S)
        self._renderer = renderer
        self._stream = stream
        self._include_usage = include_usage
        self._begun = False
        """Whether the head of a stream is out."""
        self._sending = False
        self._silent = True
        """Whether nothing has been sent since the latest look."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, or stop working on it when the client leaves."""
        record = current.get()
        if record is not None:
            record.streamed = self._stream
        answering = asyncio.create_task(self._answer(scope, receive, send))
        watching = asyncio.create_task(_client_left(receive))
        failure: BaseException | None = None
        try:
            quiet_s = QUIET_S if self._stream else None
            while not (await asyncio.wait({answering, watching}, timeout=quiet_s, return_when=_FIRST))[0]:
                await self._break_silence(send)
            if record is not None:
                record.left = not answering.done()
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
            await self._say(send, _event(errors.body(failure)), last=True)
        else:
            await errors.response(failure)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._chunks()) as chunks:
            first = await anext(chunks)
            if self._stream:
                await self._send_stream(send, first, chunks)
                return
            told = [*first, *[chunk async for more in chunks for chunk in more], self._renderer.usage()]
        await Response(_encode(self._renderer.fold(told)), media_type="application/json")(scope, receive, send)

    async def _send_stream(self, send: Send, first: list[Any], rest: AsyncIterator[list[Any]]) -> None:
        if not self._begun:
            await self._begin(send)
        await self._say(send, _events(first))
        async for chunks in rest:
            await self._say(send, _events(chunks))
        usage = _events([self._renderer.usage()]) if self._include_usage else b""
        await self._say(send, usage + _DONE, last=True)

    async def _begin(self, send: Send) -> None:
        self._begun = True
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})

    async def _say(self, send: Send, body: bytes, *, last: bool = False) -> None:
        self._sending, self._silent = True, False
        await send({"type": "http.response.body", "body": body, "more_body": not last})
        self._sending = False

    async def _break_silence(self, send: Send) -> None:
        """Tell the client, and whatever is in between, that the answer is still worked on; not while a chunk waits for
        a client that does not read."""
        if self._silent and not self._sending:
            await (self._say(send, _PING) if self._begun else self._begin(send))
        self._silent = True

    async def _chunks(self) -> AsyncGenerator[list[Any], None]:
        """The chunks of each set of events that has any."""
        chunk = self._renderer.chunk
        async with aclosing(self._events) as events:
            async for news in events:
                if chunks := [told for event in news if (told := chunk(event)) is not None]:
                    yield chunks


def _events(chunks: Iterable[Any]) -> bytes:
    return b"".join([_event(_encode(chunk)) for chunk in chunks])


def _event(data: bytes) -> bytes:
    return b"data: %b\n\n" % data


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
