"""The child: loads one model, takes runs from its parent, and sends their steps. `python -m` runs it with the number of
its end of the socket; it lives as long as that is open, and ends at once when its parent does."""

import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from alcove.config.settings import ModelSettings
from alcove.engines.base import Engine, Vocabulary
from alcove.engines.faults import fault_of
from alcove.errors import AlcoveError, ConfigurationError
from alcove.machine import usable_cores
from alcove.pipeline.cores import Cores
from alcove.pipeline.isolated.link import Link, packed
from alcove.pipeline.isolated.messages import (
    Cancel,
    Failed,
    Hangs,
    Load,
    Message,
    News,
    Ready,
    Record,
    Submit,
    ToChild,
)
from alcove.pipeline.serving import open_serving
from alcove.pipeline.watch import stalled_batch
from alcove.runs import Run, Step
from alcove.store.recognise import recognise

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_LEAST_S = 0.05
"""Between two looks at the engine, at the least, in seconds."""


class Child:
    """The engine's process, from inside."""

    def __init__(self, link: Link[ToChild]) -> None:
        self._link = link

    def live(self) -> None:
        """Load what the parent names, and serve until it is gone."""
        load = self._link.receive()
        if not isinstance(load, Load):
            return
        _log_to(self, load.log_level)
        settings = ModelSettings.model_validate_json(load.settings)
        try:
            engine = _opened(load, settings)
        except Exception as error:
            if not isinstance(error, AlcoveError):
                logger.exception("The model cannot be loaded")
            kind = "configuration" if isinstance(error, ConfigurationError) else "model"
            self.say(Failed(kind, str(error) or type(error).__name__))  # type: ignore[arg-type]
            return
        self.say(Ready(engine.capabilities))
        if settings.stall_timeout_s:
            threading.Thread(target=self._look_after, args=(engine, settings), name="alcove-watch", daemon=True).start()
        while (message := self._link.receive()) is not None:
            match message:
                case Submit(runs):
                    self._submit(engine, runs)
                case Cancel(run):
                    engine.cancel(run)

    def say(self, message: Message) -> None:
        """Send a message; from any thread."""
        with suppress(OSError):  # the parent is gone, and with it the reason to live: `live` finds out
            self._link.send(packed(message))

    def _submit(self, engine: Engine, runs: Sequence[Run]) -> None:
        """Runs that are refused end at once, so that the parent need not wait for a yes."""
        try:
            for run in runs:
                engine.check(run)
            engine.submit(runs, self._sink)
        except Exception as error:
            if not isinstance(error, AlcoveError):
                logger.exception("The engine refused runs that it should have taken")
            self._sink([Step(run=run.id, error=str(error), fault=fault_of(error)) for run in runs])

    def _look_after(self, engine: Engine, settings: ModelSettings) -> None:
        """Say when one batch hangs; that they all do, the parent sees itself."""
        while (left_s := settings.stall_timeout_s - engine.silent_s) > 0:
            time.sleep(max(left_s, _LEAST_S))
        self.say(Hangs(stalled_batch(settings.name, settings.stall_timeout_s)))

    def _sink(self, steps: Sequence[Step]) -> None:
        self.say(News(tuple(steps)))


class _ToParent(logging.Handler):
    """The parent's log is ours, too."""

    def __init__(self, child: Child) -> None:
        super().__init__()
        self._child = child

    def emit(self, record: logging.LogRecord) -> None:
        self._child.say(Record(record.name, record.levelno, self.format(record)))


def _log_to(child: Child, level: int) -> None:
    root = logging.getLogger("alcove")
    root.handlers, root.propagate = [_ToParent(child)], False
    root.setLevel(level)


def _opened(load: Load, settings: ModelSettings) -> Engine:
    vocabulary = Vocabulary(load.source, load.source if load.target is None else load.target)
    cores = Cores(usable_cores())
    return open_serving(recognise(Path(load.folder), settings.task), settings, vocabulary, cores)


def _die_with_parent() -> None:
    """Even if this process hangs so that it does not see the end of the socket."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Live, and end without waiting for what still runs: nobody wants it."""
    _die_with_parent()
    # stopping is the parent's business: a supervisor may send its signal to all processes of a service
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    Child(Link(socket.socket(fileno=int(sys.argv[1])), ToChild)).live()
    os._exit(0)


if __name__ == "__main__":
    main()
