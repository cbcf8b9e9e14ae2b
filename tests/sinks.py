"""Sinks for engines that are run without the pipeline around them."""

import threading
from collections.abc import Callable, Sequence

from alcove.runs import Step


class Sink:
    """A `BatchSink` that asks a function what to do with each step, and remembers how they were handed on."""

    def __init__(self, take: Callable[[Step], bool]) -> None:
        """`take` says whether nobody wants more of the step's run."""
        self._take = take
        self._held: list[Step] = []
        self.handed: list[list[Step]] = []
        """What each flush handed on, where there was anything."""

    def add(self, step: Step) -> bool:
        self._held.append(step)
        return self._take(step)

    def flush(self) -> None:
        if self._held:
            self.handed.append(self._held)
        self._held = []


def keep(steps: list[Step]) -> Sink:
    """A sink that puts all steps into this list and wants them all."""
    return Sink(lambda step: bool(steps.append(step)))


class Steps:
    """An `Engine`'s sink that remembers, and can be waited for."""

    def __init__(self, patience_s: float = 20.0) -> None:
        self.taken: list[Step] = []
        self._changed = threading.Condition()
        self._patience_s = patience_s

    def __call__(self, steps: Sequence[Step]) -> None:
        with self._changed:
            self.taken += steps
            self._changed.notify_all()

    def until(self, enough: Callable[[], bool]) -> None:
        """Wait until what has been taken is enough."""
        with self._changed:
            assert self._changed.wait_for(enough, self._patience_s), self.taken
