"""One line a request, when its answer has ended. A record comes in, an event of the logger `alcove.requests` goes out.

It tells what `metrics/record.py` holds: never text of the request or the answer, a key, or a path that no route has.
"""

import asyncio
import logging
import time
from typing import Any

from alcove.metrics.record import Record

logger = logging.getLogger("alcove.requests")

POLLED = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})
"""Asked for every few seconds by machines: logged at `debug` while they answer well."""
GATHER_S = 0.05
"""How long lines may wait for others, in seconds."""


class Line:
    """A record as the message of a log event: `str` for people, `fields` for JSON. Made only if it is told."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def fields(self) -> dict[str, Any]:
        """What is known, by name."""
        record = self._record
        known = {
            "message": "request",
            "request_id": record.id,
            "method": record.method or None,
            "endpoint": record.endpoint,
            "caller": record.caller,
            "status": record.status,
            "outcome": outcome(record),
            "finish_reason": record.finish,
            "error_code": record.code,
            "model": record.model,
            "streamed": record.streamed,
            "queue_s": _seconds(record, record.batch_at),
            "first_token_s": _seconds(record, record.first_at),
            "duration_s": _seconds(record, record.ended),
        }
        if record.model is not None:
            known |= {"prompt_tokens": record.prompt_tokens, "completion_tokens": record.completion_tokens}
        return {name: value for name, value in known.items() if value is not None}

    def __str__(self) -> str:
        """In one line for a person."""
        record = self._record
        why = record.code or record.finish
        what = f"{record.method} {record.endpoint or '(no such path)'}" if record.method else "(no request)"
        parts = [f"{what} {record.status or '-'} {outcome(record)}"]
        parts += [f"({why})"] if why else []
        if record.model is not None:
            parts.append(f"{record.model}: {record.prompt_tokens} + {record.completion_tokens} tokens,")
        if (first := _seconds(record, record.first_at)) is not None:
            parts.append(f"first after {first:.3f} s,")
        if (took := _seconds(record, record.ended)) is not None:
            parts.append(f"{took:.3f} s")
        parts.append(f"[{record.id}]")
        return " ".join(parts)


def outcome(record: Record) -> str:
    """How the request has ended: `finished`, `client_left`, `refused` or `failed`."""
    if record.left or record.status == 499 or (record.status is None and not record.failed):
        return "client_left"
    if record.failed:
        # without a status, the HTTP protocol has closed the connection; 503 says that nothing was begun; a status below
        # 400, that it was told in the course of a stream
        return "refused" if record.status is None or 400 <= record.status < 500 or record.status == 503 else "failed"
    return "finished"


class RequestLog:
    """Writes the lines of requests that have ended, those of a moment together: each write lets go of the interpreter,
    and under load that costs more than the line."""

    def __init__(self) -> None:
        self._ended: list[Record] = []

    def write(self, record: Record) -> None:
        """Write the line of this request within `GATHER_S`; called on the event loop."""
        if not self._ended:
            asyncio.get_running_loop().call_later(GATHER_S, self.flush)
        self._ended.append(record)

    def flush(self) -> None:
        """Write what has not been written yet."""
        ended, self._ended = self._ended, []
        lines = [line for record in ended if (line := _line(record)) is not None]
        for line in lines[:-1]:
            line.more_follow = True  # for `cli/logs.py`, which then does not flush
        for line in lines:
            logger.handle(line)


def _line(record: Record) -> logging.LogRecord | None:
    ended = outcome(record)
    level = logging.WARNING if ended == "failed" else logging.INFO
    if ended == "finished" and record.endpoint in POLLED:
        level = logging.DEBUG
    if not logger.isEnabledFor(level):
        return None
    # made by hand: `logger.log` would look for the caller, which costs as much as the rest
    line = logging.LogRecord(logger.name, level, __file__, 0, Line(record), (), None)
    if record.ended is not None:
        line.created -= time.perf_counter() - record.ended
    return line


def _seconds(record: Record, until: float | None) -> float | None:
    return None if until is None else round(until - record.begun, 6)
