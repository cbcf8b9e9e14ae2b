"""Log records -> lines: JSON for machines, text for people. Used by `logs.py`.

An event is one line whatever is in it; of the text, only a traceback takes more, and its lines are marked. Exceptions
are named with their place; what they say is left out where they may speak of a request's text.
"""

import json
import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from alcove.config.problems import escaped
from alcove.errors import ConfigurationError, EngineFailure, ModelLoadError
from alcove.metrics.record import current

KNOW_NO_TEXT = (
    "alcove.cli",
    "alcove.config",
    "alcove.engines",
    "alcove.pipeline.batcher",
    "alcove.pipeline.isolated",
    "alcove.pipeline.pool",
    "alcove.pipeline.slot",
    "alcove.store",
)
"""Loggers of parts that never see a prompt or an answer: what an exception says may stand in their records."""
_OF_OURS = (ConfigurationError, EngineFailure, ModelLoadError)
"""Exceptions that speak of the machine, never of a request."""
_COLOURS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "31"}


class JsonLines(logging.Formatter):
    """A JSON object a record, ASCII only: `time`, `level`, `logger`, `message`, and what else is known."""

    def __init__(self) -> None:
        super().__init__()
        self._second, self._shown = -1, ""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        event: dict[str, Any] = {
            "time": self._time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        fields = getattr(record.msg, "fields", None)
        if fields is not None:  # a line of `server/request_log.py`: there are many, and msgspec is quick
            line = msgspec.json.encode(event | fields()).decode()
            return line if line.isascii() and line.isprintable() else json.dumps(event | fields())
        event["message"] = record.getMessage()
        if (request := current.get()) is not None:
            event["request_id"] = request.id
        if record.exc_info and record.exc_info[1] is not None:
            event["exception"] = "\n".join(_told(record.exc_info[1], _may_speak(record)))
        return json.dumps(event)

    def _time(self, created: float) -> str:
        """In UTC, to the millisecond; the part that changes once a second is kept."""
        second = int(created)
        if second != self._second:
            self._second, self._shown = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._shown}.{int((created - second) * 1000):03d}+00:00"


class TextLines(logging.Formatter):
    """Time, level and message; a traceback follows in lines that begin with `  | `."""

    def __init__(self, *, colour: bool, names: bool) -> None:
        """`names`: whether loggers are named, too."""
        super().__init__()
        self._colour = colour
        self._names = names

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        level = f"{record.levelname:5}"
        if self._colour and (code := _COLOURS.get(record.levelname)):
            level = f"\033[{code}m{level}\033[0m"
        name = f"{record.name}: " if self._names else ""
        when = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        request = current.get()
        known = "" if request is None or hasattr(record.msg, "fields") else f" [{request.id}]"
        lines = [f"{when} {level} {escaped(name + record.getMessage())}{known}"]
        if record.exc_info and record.exc_info[1] is not None:
            lines += [f"  | {escaped(line)}" for line in _told(record.exc_info[1], _may_speak(record))]
        return "\n".join(lines)


def _may_speak(record: logging.LogRecord) -> bool:
    return record.name.startswith(KNOW_NO_TEXT)


def _told(error: BaseException, may_speak: bool) -> Iterator[str]:
    """The lines of an exception and of those that led to it, the first cause first."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    for one in reversed(chain):
        for entry in traceback.StackSummary.extract(traceback.walk_tb(one.__traceback__)).format():
            yield from entry.rstrip("\n").split("\n")
        kind = type(one)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        speaks = may_speak or isinstance(one, _OF_OURS)
        yield f"{name}: {one}" if speaks else f"{name} (what it says may hold a request's text, and is left out)"
        if isinstance(one, BaseExceptionGroup):
            for part in one.exceptions:
                yield from _told(part, may_speak)
