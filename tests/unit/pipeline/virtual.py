"""An event loop's clock that tests turn on by hand: what the pipeline's timers need of a loop."""

import asyncio
from collections.abc import Callable
from typing import cast


class Timer:
    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """Has the time and the timers, and nothing else of a loop."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return cast(asyncio.AbstractEventLoop, self)

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(when, callback))
        return self.timers[-1]

    @property
    def due(self) -> list[Timer]:
        """Timers that will fire, in their order."""
        return sorted((timer for timer in self.timers if not timer.cancelled), key=lambda timer: timer.when)

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.due) and due[0].when <= until:
            self.timers.remove(due[0])
            self.now = due[0].when
            due[0].callback()
        self.now = until
