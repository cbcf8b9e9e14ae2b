"""The outermost layer of the application: names each answer, and tells log, metrics and traces when it has ended.

What is known of a request in between is gathered in its `Record`, which whoever works for it finds as `current`. What
`http_protocol.py` refuses does not come to here, and is told all the same.
"""

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alcove.errors import ShuttingDown
from alcove.metrics import Metrics
from alcove.metrics.record import Record, current
from alcove.server import errors
from alcove.server.error_codes import counted
from alcove.server.http_refusals import REFUSED, Refusal
from alcove.server.request_id import request_id
from alcove.server.request_log import RequestLog
from alcove.server.traces import Traces


class Observe:
    """ASGI middleware; the outermost, so that refusals are seen, too."""

    def __init__(self, app: ASGIApp, metrics: Metrics, log: RequestLog, traces: Traces | None) -> None:
        self._app = app
        self._metrics = metrics
        self._log = log
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; what nobody has caught is answered here, for only here does the answer have an id."""
        if scope["type"] == "lifespan":
            scope.get("state", {})[REFUSED] = self._refused
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = Record(id=request_id(scope["headers"]), method=scope["method"])
        current.set(record)

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", record.id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except asyncio.CancelledError:  # uvicorn cancels what still runs when the time to drain is over
            if record.status is not None:
                raise
            stopped = ShuttingDown("The server was stopped before the request was complete.")
            await errors.response(stopped)(scope, receive, send_named)
        except Exception as error:
            if record.status is not None:  # the ASGI server cuts the connection, and says so
                record.failed = True
                raise
            await errors.response(error)(scope, receive, send_named)
        finally:
            self._ended(record, scope)

    def _refused(self, refusal: Refusal, request_id: str, answered: bool) -> None:
        record = Record(id=request_id, code=refusal.code, failed=True)
        if answered:
            record.status = refusal.status
            self._metrics.response(refusal.status, refusal.code)
        self._metrics.connection_refused(refusal.code)
        self._log.write(record)

    def _ended(self, record: Record, scope: Scope) -> None:
        record.ended = time.perf_counter()
        record.endpoint = getattr(scope.get("route"), "path", None)
        if record.status is not None:
            self._metrics.response(record.status, counted(record.code))
        self._log.write(record)
        if self._traces is not None:
            self._traces.write(record, scope)
