"""Bytes of a connection -> ASGI: uvicorn's httptools protocol, made safe to face a network. uvicorn makes one for each.

What httptools gathers without a limit is bounded, what it reads otherwise than a proxy in front may is refused, always
with OpenAI's error object (`http_refusals.py`).
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from alcove.server import http_refusals
from alcove.server.http_1_0 import until_closed
from alcove.server.http_deadlines import Clock, Deadlines
from alcove.server.http_refusals import MAX_HEAD_BYTES, MAX_HEADERS, MAX_PIPELINED, REFUSED, Refusal
from alcove.server.request_id import request_id


class BoundedHttp(HttpToolsProtocol):
    """One connection. httptools calls the `on_` methods; an exception that is raised in one ends its reading."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # bytes received since the last that had a meaning (the parser may be holding them all), and of the head so far
        self._unused = self._head_bytes = self._hosts = 0
        self._in_body = self._upgrading = False
        self._refusal: Refusal | None = None
        self._clock = Clock()
        # uvicorn would have the requests beyond it answered by a text, after it has read their heads
        self._most_connections, self.limit_concurrency = self.limit_concurrency, None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """uvloop's: a client has come. Wait for its request, or refuse it where there are too many."""
        super().connection_made(transport)
        self._clock.expect_head(self.loop.time(), begun=False)
        if self._most_connections is not None and len(self.connections) > self._most_connections:
            self._refuse(http_refusals.FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        """uvloop's: the connection is gone. After a reset uvicorn's timer would hold all that belongs to it, 7 KB, for
        as long as a connection is kept."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """uvloop's: bytes have come. Read on, or refuse."""
        if self._refusal is not None:
            return  # an earlier request is still being answered
        self._unset_keepalive_if_required()
        if not self._in_body:
            self._clock.expect_head(self.loop.time(), begun=True)
        self._unused += len(data)
        try:
            self._feed(data)
            if self._unused > MAX_HEAD_BYTES:
                self._stop(http_refusals.TOO_LARGE)
        except httptools.HttpParserError:  # ours, too, if it was raised in a callback
            self._refuse(self._refusal or http_refusals.MALFORMED)

    def sweep(self, now: float, deadlines: Deadlines) -> None:
        """`cli/serve.py`'s, once a second: end what has kept the server waiting for too long."""
        if self._clock.stalled(self.transport.get_write_buffer_size(), now, deadlines):
            self.transport.abort()
        elif self._refusal is not None or self.transport.is_closing():
            return
        elif self.flow.read_paused:
            self._clock.pause(now)
        elif (late := self._clock.late(now, deadlines)) == "idle":
            self.transport.close()
        elif late is not None:
            self._refuse(http_refusals.LATE_HEAD if late == "head" else http_refusals.LATE_BODY)

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                # httptools takes what follows an offer of another protocol (Java's clients: h2c) for that protocol's;
                # no other is spoken here, and it is the body. So the request is read again without the offer.
                line = self.parser.get_method(), self.url, self.parser.get_http_version().encode()
                lines = [b"%s %s HTTP/%s" % line]
                lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
                data = b"\r\n".join(lines) + b"\r\n\r\n" + data[upgrade.args[0] :]

    def on_message_begin(self) -> None:
        """httptools': a request begins."""
        self._head_bytes = self._hosts = 0
        self._clock.expect_head(self.loop.time(), begun=True)
        if len(self.pipeline) >= MAX_PIPELINED:
            self._stop(http_refusals.PIPELINED)
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools': a header, or a trailer, which uvicorn would take for one."""
        if self._in_body:
            return
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._stop(http_refusals.TOO_LARGE)
        if name.lower() == b"host":
            self._hosts += 1
        elif name.lower() == b"transfer-encoding" and value.lower() != b"chunked":
            self._stop(http_refusals.CODINGS)

    def on_headers_complete(self) -> None:
        """httptools': the head is complete."""
        self._unused = 0
        version = self.parser.get_http_version()
        if version not in {"1.0", "1.1"} or self.parser.get_method() == b"CONNECT":
            self._stop(http_refusals.MALFORMED)
        if self._head_bytes + len(self.url) > MAX_HEAD_BYTES:
            self._stop(http_refusals.TOO_LARGE)
        if self._hosts != 1 and (self._hosts or version == "1.1"):
            self._stop(http_refusals.HOSTS)
        self._upgrading = self.parser.should_upgrade()
        if not self._upgrading:
            super().on_headers_complete()
        self._in_body = True
        self._clock.expect_body(self.loop.time())

    def on_body(self, body: bytes) -> None:
        """httptools': a piece of the body."""
        self._unused = 0
        if not self.cycle.response_complete:
            self._clock.count(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """httptools': the request is complete."""
        self._unused = 0
        self._in_body = False
        self._clock.expect_nothing()
        if not self._upgrading:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """uvicorn's: an answer is complete. Who was never told to send a body may send its next request instead, and
        the two must not be taken for each other."""
        super().on_response_complete()
        if self._in_body and self.expect_100_continue and self.cycle.response_complete:
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        application: Any = until_closed(app, cycle) if cycle.scope["http_version"] == "1.0" else app
        super()._start_asgi_task(cycle, application)

    def _stop(self, refusal: Refusal) -> None:
        self._refusal = refusal
        raise httptools.HttpParserError

    def _refuse(self, refusal: Refusal) -> None:
        """Close the connection: after the answers that are due, which this must not be taken for, or with this one."""
        self.logger.debug("Refused a request: %s", refusal.message)
        self._refusal = refusal
        newest = self.cycle
        name = request_id(self.headers if self._in_body else ())
        unanswered = newest is not None and not newest.response_complete
        behind = unanswered and not newest.more_body
        answered = not behind and (
            not self._in_body or (unanswered and not newest.response_started and not self.pipeline)
        )
        if answered:
            self.transport.write(refusal.answer(name))
        if behind:
            newest.keep_alive = False
        else:
            self.transport.close()
        if (tell := self.app_state.get(REFUSED)) is not None:
            tell(refusal, name, answered)
