"""The log of a server, on standard error: text for a person at a terminal, JSON lines for machines. Called once, before
start-up; the lines themselves are made by `log_formats.py`.
"""

import logging
import os
import sys
import threading
from collections.abc import Iterable
from typing import Literal, TextIO

from alcove.cli.log_formats import JsonLines, TextLines

LogFormat = Literal["auto", "text", "json"]


def configure(level: str, warnings: Iterable[str] = (), log_format: LogFormat = "auto") -> None:
    """Show what alcove logs from this level on, then log `warnings`.

    The loggers of other libraries, and of a program that has alcove inside, stay as they are.
    """
    handler = _Handler(level, log_format)
    logger = logging.getLogger("alcove")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(level.upper())
    for warning in warnings:
        logger.warning("%s", warning)


def configure_process(level: str) -> None:
    """Send what the rest of the process says the same way, for it is ours: uvicorn's chatter only at `debug`, other
    libraries' warnings, and what ends a thread."""
    # which thread and process a record is of is told by none of our lines, and costs a tenth of one
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handlers = list(logging.getLogger("alcove").handlers)
    uvicorn = logging.getLogger("uvicorn")
    uvicorn.handlers = handlers
    uvicorn.propagate = False
    uvicorn.setLevel("DEBUG" if level == "debug" else "WARNING")
    logging.getLogger().handlers = handlers
    logging.captureWarnings(True)
    threading.excepthook = _log_thread


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to standard error, lines that come together at once."""

    def __init__(self, level: str, log_format: LogFormat) -> None:
        # not `sys.stderr` itself, which is flushed at the end of every line
        super().__init__(open(sys.stderr.fileno(), "w", encoding="utf-8", errors="backslashreplace", closefd=False))  # noqa: SIM115
        self._more_follow = False
        self.setFormatter(_formatter(level, log_format))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; flush unless its record says that more follow at once."""
        self._more_follow = getattr(record, "more_follow", False)
        super().emit(record)

    def flush(self) -> None:
        """Write out, unless more follow."""
        if not self._more_follow:
            super().flush()


def _formatter(level: str, log_format: LogFormat) -> logging.Formatter:
    terminal = sys.stderr.isatty()
    if log_format == "json" or (log_format == "auto" and not terminal):
        return JsonLines()
    return TextLines(colour=terminal and "NO_COLOR" not in os.environ, names=level == "debug")


def _log_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None:
        name = ended.thread.name if ended.thread is not None else "a thread"
        logging.getLogger("alcove").error("Thread %s has ended", name, exc_info=ended.exc_value)
