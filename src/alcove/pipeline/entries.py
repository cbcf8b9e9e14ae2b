"""A run on its way through the batcher, and what becomes of a batch of them. Used by `batcher.py` and `queue.py`."""

import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import msgspec

from alcove.engines.base import Sink
from alcove.runs import Fault, Run, Step


@dataclass(slots=True, eq=False)
class Request:
    """Runs that were submitted together; one place in the queue."""

    waiting: int
    """How many of its runs have not been in a batch yet."""


@dataclass(slots=True, eq=False)
class Entry:
    """One run: waiting, running, ended."""

    run: Run
    key: Hashable
    """Entries with equal ones may share a batch."""
    length: int
    """The engine's measure by which entries are put together."""
    sink: Sink
    request: Request
    open_outputs: int
    """Outputs that have not ended."""
    begun: bool = False
    """It has been in a batch, and no longer counts as waiting."""
    begun_at: float | None = None
    """When its first batch began, on the clock of `time.perf_counter`, until its first step has told it."""
    cancelled: bool = False
    failed: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be told of it."""
        return self.cancelled or self.failed or not self.open_outputs

    def fail(self, reason: str, fault: Fault | None = None) -> None:
        """End the run, if it has not ended."""
        if not self.ended:
            self.failed = True
            self.sink([Step(run=self.run.id, error=reason, fault=fault)])


class Outbox:
    """What a batch has made since its last step was complete. Implements `BatchSink`; lives in the worker's thread."""

    def __init__(self, batch: Sequence[Entry], lock: threading.Lock) -> None:
        """`lock`: under which runs are cancelled, and told their ends by others."""
        self.batch = batch
        """The runs that began together."""
        self._entries = {entry.run.id: entry for entry in batch}
        self._lock = lock
        self._steps: list[Step] = []
        self.flushed_at = time.monotonic()
        """When the batch made its latest step, or began, on the clock of `time.monotonic`."""

    def begin(self) -> None:
        """Tell of the runs that begin with this batch. The caller has the lock."""
        now = time.perf_counter()
        for name, entry in self._entries.items():
            if not entry.run.made:
                entry.begun_at = now
                self._steps.append(Step(run=name, began=True))
        self._hand_on()

    def add(self, step: Step) -> bool:
        """Take a step in; True when nobody wants more of the run."""
        entry = self._entries[step.run]
        if entry.ended:
            return True
        if entry.begun_at is not None:
            step = msgspec.structs.replace(step, times=(entry.begun_at, time.perf_counter()))
            entry.begun_at = None
        if step.finish is not None:
            entry.open_outputs -= 1
        elif step.error is not None:
            entry.open_outputs = 0
        self._steps.append(step)
        return False

    def flush(self) -> None:
        """Hand the steps to their sinks, a call for each; a model's runs have the same. Nothing comes for a run any
        more that has been cancelled, or has been told its end by others."""
        self.flushed_at = time.monotonic()
        if self._steps:
            with self._lock:
                self._hand_on()

    def _hand_on(self) -> None:
        steps, self._steps = self._steps, []
        by_sink: dict[Sink, list[Step]] = {}
        for step in steps:
            entry = self._entries[step.run]
            if not (entry.failed or entry.cancelled):
                by_sink.setdefault(entry.sink, []).append(step)
        for sink, news in by_sink.items():
            sink(news)
