"""Bytes of a request -> a reply, on a connection of its own that is kept, and left at a chosen moment if wished.

What comes back is only gathered here, with its times; `endings.py` says what it means. Used by all promises, and by
tests/e2e/test_fault_proxy.py.
"""

import asyncio
import socket
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal

import httptools
import msgspec

Stage = Literal["head", "body", "sent", "begun"]
STAGES: tuple[Stage, ...] = ("head", "body", "sent", "begun")
_RESET = b"\1\0\0\0\0\0\0\0"
"""SO_LINGER of no time: the connection is reset."""


def post(body: dict[str, Any]) -> bytes:
    """The request that sends this body: a chat, if it has messages."""
    path = "/v1/chat/completions" if "messages" in body else "/v1/completions"
    content = msgspec.json.encode(body)
    head = b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" % path.encode()
    return head + b"content-length: %d\r\n\r\n" % len(content) + content


@dataclass(frozen=True, slots=True)
class Leaving:
    """How a client leaves before its answer is complete."""

    stage: Stage
    """After half of the head, half of the body, all of the request, or the first bytes of the answer's body."""
    after_s: float
    """So much later."""
    reset: bool
    """By RST; else by FIN."""


@dataclass(slots=True)
class Reply:
    """What came back, as it came."""

    sent_at: float
    """On the clock of `time.perf_counter`, as all times here."""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    """The body, as it was cut by the server and the network."""
    times: list[float] = field(default_factory=list)
    """When each piece came."""
    ended_at: float = 0.0
    complete: bool = False
    left: bool = False
    """Whether the client left before the end, as it was to."""
    late: bool = False
    """Whether the end did not come in time."""


class Client:
    """One client, with one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._wire: _Wire | None = None

    async def ask(self, request: bytes, *, leaving: Leaving | None = None, timeout_s: float = 60.0) -> Reply:
        """Send, and await the end of the reply, the moment to leave, or the end of this time."""
        kept = self._wire is not None and self._wire.open
        try:
            async with asyncio.timeout(timeout_s):
                wire = await self._connected()
                reply = wire.begin()
                if leaving is None:
                    wire.send(request)
                    await wire.ended.wait()
                    if kept and not reply.status:  # the kept connection was closed while the request was on its way
                        return await self.ask(request, timeout_s=timeout_s)
                else:
                    await self._until_leaving(wire, request, leaving)
        except TimeoutError:
            reply = Reply(perf_counter()) if self._wire is None else self._wire.reply
            reply.late = True
            self.close()
        except OSError:
            reply = Reply(perf_counter())
        reply.ended_at = perf_counter()
        return reply

    def close(self, *, reset: bool = False) -> None:
        """Leave."""
        if self._wire is not None:
            self._wire.leave(reset=reset)

    async def _connected(self) -> "_Wire":
        if self._wire is None or not self._wire.open:
            loop = asyncio.get_running_loop()
            _, self._wire = await loop.create_connection(_Wire, "127.0.0.1", self._port)
        return self._wire

    async def _until_leaving(self, wire: "_Wire", request: bytes, leaving: Leaving) -> None:
        head = request.index(b"\r\n\r\n") + 4
        part = {"head": head // 2, "body": (head + len(request)) // 2}.get(leaving.stage, len(request))
        wire.send(request[:part])
        if leaving.stage == "begun":
            await wire.begun.wait()
        await asyncio.sleep(leaving.after_s)
        wire.reply.left = not wire.ended.is_set()
        wire.leave(reset=leaving.reset)


class _Wire(asyncio.Protocol):
    """One TCP connection; `asyncio` calls it with bytes, and `httptools` with what they mean."""

    def __init__(self) -> None:
        self.open = False
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> Reply:
        """Expect a new reply."""
        self.reply = Reply(perf_counter())
        self.begun, self.ended = asyncio.Event(), asyncio.Event()
        return self.reply

    def send(self, data: bytes) -> None:
        self.reply.sent_at = perf_counter()
        self._transport.write(data)

    def leave(self, *, reset: bool) -> None:
        self.open = False
        if not reset:
            self._transport.close()
            return
        if not self._transport.is_closing():
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self.begun.set()
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        self._now = perf_counter()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.leave(reset=True)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.reply.headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self.reply.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.reply.pieces.append(body)
        self.reply.times.append(self._now)
        self.begun.set()

    def on_message_complete(self) -> None:
        self.reply.complete = True
        if not self._parser.should_keep_alive():
            self.leave(reset=False)
        self.begun.set()
        self.ended.set()
