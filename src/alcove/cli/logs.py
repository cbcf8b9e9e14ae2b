"""The log of a server, on standard error: plain lines that start with their level. Called once, before start-up."""

import logging
import sys
from collections.abc import Iterable

_PLAIN = "%(levelname)-5s %(message)s"
_DEBUG = "%(asctime)s %(levelname)-5s %(name)s: %(message)s"


def configure(level: str, warnings: Iterable[str] = ()) -> None:
    """Show what alcove logs from this level on, uvicorn's own chatter only at `debug`; then log `warnings`.

    The loggers of other libraries, and of a program that has alcove inside, stay as they are.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_DEBUG if level == "debug" else _PLAIN))
    logger = logging.getLogger("alcove")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(level.upper())
    for warning in warnings:
        logger.warning("%s", warning)


def configure_uvicorn(level: str) -> None:
    """Send what uvicorn logs the same way; requests only at `debug`."""
    logger = logging.getLogger("uvicorn")
    logger.handlers = list(logging.getLogger("alcove").handlers)
    logger.propagate = False
    logger.setLevel("DEBUG" if level == "debug" else "WARNING")
