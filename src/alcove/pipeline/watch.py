"""Finds out that an engine has stalled: requests wait, and for a long time no step has come to any of them, or none of
one of the batches that run side by side.

One a model, told by `pipeline/model.py` of each request's coming, news and going; lives on the event loop.
"""

import asyncio
import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Watch:
    """Adds up the time in which somebody has waited since the last step; pauses in which nobody waits do not count.
    What runs beside other things in the engine is asked for, since their steps hide its silence."""

    def __init__(
        self,
        model: str,
        limit_s: float,
        loop: asyncio.AbstractEventLoop,
        silent_s: Callable[[], float],
        on_stall: Callable[[str], None],
    ) -> None:
        """`silent_s` gives `Engine.silent_s`; `on_stall` is told once, in one line, when nothing has come for `limit_s`
        seconds; 0: never."""
        self._model = model
        self._limit_s = limit_s
        self._loop = loop
        self._batch_silent_s = silent_s
        self._on_stall = on_stall
        self._waiting = 0
        self._silent_s = 0.0
        """Time without a step before `_since`."""
        self._since = 0.0
        """From when on somebody waits, or the time of the last step, on the loop's clock."""
        self._timer: asyncio.TimerHandle | None = None
        self._trouble: str | None = None
        self._in_a_batch = False
        """Whether the trouble is that of a batch, which steps of others do not end."""

    @property
    def trouble(self) -> str | None:
        """That the engine has stalled, in one line; None while it goes on."""
        # who asks may be whoever sends requests here or elsewhere: without any there would never be news again
        if self._trouble is not None and (self._in_a_batch or not self._waiting) and not self._batch_hangs():
            self._go_on()
        return self._trouble

    def enter(self) -> None:
        """A request waits from now on."""
        self._waiting += 1
        if self._waiting == 1:
            self._since = self._loop.time()
            self._set_timer()

    def news(self) -> None:
        """Something has come from the engine."""
        self._silent_s, self._since = 0.0, self._loop.time()
        if self._trouble is not None and not self._batch_hangs():
            self._go_on()

    def leave(self) -> None:
        """A request waits no more."""
        self._waiting -= 1
        if not self._waiting:
            self._silent_s += self._loop.time() - self._since
            if self._timer is not None:
                self._timer.cancel()

    def _batch_hangs(self) -> bool:
        return self._batch_silent_s() >= self._limit_s

    def _set_timer(self) -> None:
        if self._limit_s and self._trouble is None:
            now = self._loop.time()
            silent_s = max(self._silent_s + now - self._since, self._batch_silent_s())
            self._timer = self._loop.call_at(now + self._limit_s - silent_s, self._look)

    def _look(self) -> None:
        if self._batch_hangs():
            self._in_a_batch = True
            self._trouble = stalled_batch(self._model, self._limit_s)
        elif self._silent_s + self._loop.time() - self._since >= self._limit_s:
            self._trouble = _stalled(self._model, "its engine", self._limit_s) + ", though requests wait"
        else:
            self._set_timer()  # a step has come meanwhile
            return
        logger.error("%s", self._trouble)
        self._on_stall(self._trouble)

    def _go_on(self) -> None:
        logger.warning("Model '%s': its engine goes on again", self._model)
        self._trouble, self._in_a_batch = None, False
        self._silent_s, self._since = 0.0, self._loop.time()
        if self._waiting:
            self._set_timer()


def stalled_batch(model: str, limit_s: float) -> str:
    """What is said, in one line, of a batch that has made no step for so long, whatever others do."""
    return _stalled(model, "a batch of its engine", limit_s)


def _stalled(model: str, what: str, limit_s: float) -> str:
    return f"model '{model}': {what} has made no step for {limit_s:g} s"
