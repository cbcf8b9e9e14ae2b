"""Two engines of one model as one: requests go to the first where it takes them, and else to the second.

Made by `model.py` where an engine has a partial one beside it.
"""

from collections.abc import Sequence

from alcove.engines.base import Capabilities, Engine, PartialEngine, Sink
from alcove.runs import Run


class Routed:
    """Implements `Engine`."""

    def __init__(self, first: PartialEngine, second: Engine) -> None:
        """`second` takes every run, and has the model: it is closed last."""
        self._first = first
        self._second = second

    @property
    def capabilities(self) -> Capabilities:
        """Those of the one that takes all."""
        return self._second.capabilities

    @property
    def waiting(self) -> int:
        """Those of both."""
        return self._first.waiting + self._second.waiting

    @property
    def room(self) -> int | None:
        """That of both: each has some for some requests."""
        first, second = self._first.room, self._second.room
        return None if first is None or second is None else max(first, 0) + max(second, 0)

    @property
    def silent_s(self) -> float:
        """Of both, that of the one that is silent for longer."""
        return max(self._first.silent_s, self._second.silent_s)

    def check(self, run: Run) -> None:
        """Ask the engine that would have the run; see `Engine.check`."""
        (self._first if self._first.takes(run) else self._second).check(run)

    def submit(self, runs: Sequence[Run], sink: Sink) -> None:
        """A request is not divided: it begins as a whole or not at all."""
        (self._first if all(map(self._first.takes, runs)) else self._second).submit(runs, sink)

    def cancel(self, run_id: str) -> None:
        """Unknown ids are ignored, so both may be asked."""
        self._first.cancel(run_id)
        self._second.cancel(run_id)

    def close(self) -> None:
        """End all runs of both, and release the model."""
        self._first.close()
        self._second.close()
