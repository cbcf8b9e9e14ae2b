"""Finds out that an engine has stalled: requests wait for it, and for a long time no step has come to any of them.

One a model, told by `pipeline/model.py` of each request's coming, news and going; lives on the event loop.
"""

import asyncio
import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Watch:
    """Adds up the time in which somebody has waited since the last step; pauses in which nobody waits do not count."""

    def __init__(
        self, model: str, limit_s: float, loop: asyncio.AbstractEventLoop, on_stall: Callable[[str], None]
    ) -> None:
        """`on_stall` is told once, in one line, when nothing has come for `limit_s` seconds; 0: never."""
        self._model = model
        self._limit_s = limit_s
        self._loop = loop
        self._on_stall = on_stall
        self._waiting = 0
        self._silent_s = 0.0
        """Time without a step before `_since`."""
        self._since = 0.0
        """From when on somebody waits, or the time of the last step, on the loop's clock."""
        self._timer: asyncio.TimerHandle | None = None
        self.trouble: str | None = None
        """That the engine has stalled, in one line; None while it goes on."""

    def enter(self) -> None:
        """A request waits from now on."""
        self._waiting += 1
        if self._waiting == 1:
            self._since = self._loop.time()
            self._set_timer()

    def news(self) -> None:
        """Something has come from the engine."""
        self._silent_s, self._since = 0.0, self._loop.time()
        if self.trouble is not None:
            logger.warning("Model '%s': its engine goes on again", self._model)
            self.trouble = None
            self._set_timer()

    def leave(self) -> None:
        """A request waits no more."""
        self._waiting -= 1
        if not self._waiting:
            self._silent_s += self._loop.time() - self._since
            if self._timer is not None:
                self._timer.cancel()

    def _set_timer(self) -> None:
        if self._limit_s and self.trouble is None:
            self._timer = self._loop.call_at(self._since + self._limit_s - self._silent_s, self._look)

    def _look(self) -> None:
        if self._silent_s + self._loop.time() - self._since < self._limit_s:
            self._set_timer()  # a step has come meanwhile
            return
        for_so_long = f"for {self._limit_s:g} s, though requests wait"
        self.trouble = f"model '{self._model}': its engine has made no step {for_so_long}"
        logger.error("%s", self.trouble)
        self._on_stall(self.trouble)
