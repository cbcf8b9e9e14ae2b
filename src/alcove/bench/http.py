"""Bytes of requests -> replies, on one connection that is kept. Called by `load.py`, a connection a client.

The time of a request is spent here and on the server: whatever can wait until it has ended (events, JSON) is left to
`answers.py`.
"""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

import httptools

from alcove.bench.server import Server


@dataclass(slots=True)
class Reply:
    """What came back, as it came."""

    status: int = 0
    """HTTP's status; 0 when none was read."""
    pieces: list[bytes] = field(default_factory=list)
    """The body, as it was cut by the server and the network."""
    times: list[float] = field(default_factory=list)
    """When each piece came, in seconds of `time.perf_counter`."""
    ended_at: float = 0.0
    """When the reply was complete, or was given up."""
    error: str | None = None
    """Why there is no complete reply; None when there is, whatever its status."""


class Connection:
    """A connection to a server, for one request at a time: opened when it is needed, and kept while the server will."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._wire: Wire | None = None

    async def ask(self, request: bytes, timeout_s: float) -> Reply:
        """Send a request and await all of its reply, for so many seconds. What goes wrong is in `Reply.error`."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        overdue = f"no complete answer within {timeout_s:g} s"
        if self._wire is not None and self._wire.open:
            reply = await self._wire.exchange(request, deadline, overdue)
            if reply.error != _CUT or reply.status:
                return reply
            # The server had closed the idle connection while the request was on its way: every client asks again.
        try:
            async with asyncio.timeout_at(deadline):
                _, self._wire = await asyncio.get_running_loop().create_connection(
                    Wire, self._server.host, self._server.port, ssl=self._server.tls
                )
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError; a host may be no name at all
            return Reply(error=f"cannot connect: {_reason(error)}", ended_at=perf_counter())
        return await self._wire.exchange(request, deadline, overdue)

    def close(self) -> None:
        """Leave, whatever is still on its way."""
        if self._wire is not None:
            self._wire.close()


class Wire(asyncio.Protocol):
    """One TCP connection; `asyncio` calls it with bytes, and `httptools` with what they mean."""

    def __init__(self) -> None:
        self.open = False
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._reply = Reply()
        self._ended: asyncio.Future[None] | None = None
        self._now = 0.0
        self._framed = False

    async def exchange(self, request: bytes, deadline: float, overdue: str) -> Reply:
        """Send, and await the end; at `deadline`, of the loop's clock, the error is `overdue`."""
        loop = asyncio.get_running_loop()
        reply = self._reply = Reply()
        self._ended = loop.create_future()
        expiry = loop.call_at(deadline, self._give_up, overdue)
        self._transport.write(request)
        try:
            await self._ended
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            expiry.cancel()
        return reply

    def close(self) -> None:
        """Leave at once."""
        self.open = False
        self._transport.abort()

    def _give_up(self, reason: str) -> None:
        self._end(reason)
        self.close()

    def _end(self, error: str | None) -> None:
        if self._ended is not None and not self._ended.done():
            self._reply.error = error
            self._reply.ended_at = perf_counter()
            self._ended.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's: there is a connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only
        self.open = True

    def data_received(self, data: bytes) -> None:
        """asyncio's: bytes have come; all of them at this moment."""
        self._now = perf_counter()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._give_up("the answer is not HTTP")

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: the connection is gone, which ends a reply that has no length of its own."""
        self.open = False
        self._end(None if exc is None and self._reply.status and not self._framed else _CUT)

    def on_message_begin(self) -> None:
        """httptools': a reply begins."""
        self._framed = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools': a header."""
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        """httptools': the body follows."""
        self._reply.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """httptools': a piece of the body, which may be one of several in the same bytes."""
        self._reply.pieces.append(body)
        self._reply.times.append(self._now)

    def on_message_complete(self) -> None:
        """httptools': the reply is complete."""
        if self._reply.status < 200:  # "continue", before the reply itself
            self._reply.status = 0
            return
        self._end(None)
        if not self._parser.should_keep_alive():
            self.close()


_CUT = "the connection was cut before the answer was complete"


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (getattr(error, "strerror", None) or str(error)).lower()
