"""The runs that are with the child and have not ended: where their steps go, and that each ends once. Used by
`engine.py`, from the event loop, request threads and its own; nothing here waits."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from alcove.engines.base import Sink
from alcove.runs import Fault, Run, Step


@dataclass(slots=True, eq=False)
class _Request:
    """Runs that were submitted together."""

    begun: bool = False


@dataclass(slots=True)
class _Open:
    sink: Sink
    outputs: int
    """Those that have not ended."""
    request: _Request


class OpenRuns:
    """Runs by their ids."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, _Open] = {}

    @property
    def waiting(self) -> int:
        """Requests of which no run has begun."""
        with self._lock:
            return len({run.request for run in self._runs.values() if not run.request.begun})

    def add(self, runs: Sequence[Run], sink: Sink) -> None:
        """The runs of one request."""
        request = _Request()
        with self._lock:
            self._runs.update({run.id: _Open(sink, run.outputs, request) for run in runs})

    def forget(self, run_id: str) -> bool:
        """Drop what still comes for a run; False: it has ended, or never was."""
        with self._lock:
            return self._runs.pop(run_id, None) is not None

    def deliver(self, steps: Sequence[Step]) -> None:
        """Hand steps to their sinks."""
        by_sink: dict[Sink, list[Step]] = {}
        with self._lock:
            for step in steps:
                run = self._runs.get(step.run)
                if run is None:  # cancelled while this was on its way
                    continue
                run.request.begun = True
                run.outputs -= step.finish is not None
                if step.error is not None or not run.outputs:
                    del self._runs[step.run]
                by_sink.setdefault(run.sink, []).append(step)
        for sink, news in by_sink.items():
            sink(news)

    def fail(self, reason: str, fault: Fault | None) -> int:
        """End all of them; returns how many."""
        with self._lock:
            lost, self._runs = self._runs, {}
        for run_id, run in lost.items():
            run.sink([Step(run=run_id, error=reason, fault=fault)])
        return len(lost)
