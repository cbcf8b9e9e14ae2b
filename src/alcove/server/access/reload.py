"""SIGHUP -> the keys are read again, while the server runs. Installed by `server/app.py` for as long as it does."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from alcove.config.load import Loaded
from alcove.errors import ConfigurationError
from alcove.server.access.keys import KeyRing

log = logging.getLogger(__name__)


@contextmanager
def reloading(keys: KeyRing, load: Callable[[], Loaded]) -> Iterator[None]:
    """Take the keys of what `load` gives at every SIGHUP; those of before stay where it fails.

    The signal belongs to the main thread: a program that runs the server in another one keeps it.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGHUP"):
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, at_hang_up(lambda: take_again(keys, load)))
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def at_hang_up(act: Callable[[], None]) -> Callable[[], None]:
    """What to do at SIGHUP: `act`, or stop where the signal means what it is named for, that the terminal is gone."""
    has_terminal = sys.stderr.isatty()

    def hang_up() -> None:
        if has_terminal and not sys.stderr.isatty():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            act()

    return hang_up


def take_again(keys: KeyRing, load: Callable[[], Loaded]) -> None:
    """Read the configuration again and take its keys, or log why they stay as they are."""
    try:
        loaded = load()
        keys.take(loaded.settings.auth)
    except ConfigurationError as error:
        log.error("The keys stay as they are: %s", error)
        return
    for warning in loaded.warnings:
        log.warning("%s", warning)
    log.info("Read the keys again: %d, and %d for /admin", len(keys.clients), len(keys.administrators))
