"""Dynamic batching: makes an `Engine` of a `BatchEngine` that runs closed batches.

Runs wait in one bounded queue; each worker thread takes the oldest and whatever else may share its batch, so that
no run is overtaken for ever. A lone run on an idle server starts at once; after a batch of several, a worker gives the
clients that it has just answered a moment to come back together.
"""

import logging
import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from alcove.engines.base import BatchEngine, Capabilities, Sink
from alcove.errors import Overloaded, ShuttingDown
from alcove.runs import Run, Step

logger = logging.getLogger(__name__)

PATIENCE = 0.1
"""How long a worker waits for company, as a share of what its latest batch took. Without it, workers take the requests
of a closed loop of clients in ones and twos."""


@dataclass(slots=True, eq=False)
class _Request:
    """Runs that were submitted together; one place in the queue."""

    waiting: int


@dataclass(slots=True, eq=False)
class _Entry:
    """One run on its way: waiting, running, ended."""

    run: Run
    key: Hashable
    sink: Sink
    request: _Request
    open_outputs: int
    begun: bool = False
    """It has been in a batch, and no longer counts as waiting."""
    cancelled: bool = False

    def take(self, step: Step) -> bool:
        """Pass a step on; True when nobody wants more of the run."""
        if self.cancelled or not self.open_outputs:
            return True
        if step.finish is not None:
            self.open_outputs -= 1
        self.sink(step)
        return False

    def fail(self, reason: str) -> None:
        """End the run, if it has not ended."""
        if not self.cancelled and self.open_outputs:
            self.open_outputs = 0
            self.sink(Step(run=self.run.id, error=reason))


class Batcher:
    """The shared front of all engines that run closed batches."""

    def __init__(self, engine: BatchEngine, *, max_queue: int, max_batch_size: int, max_batch_tokens: int) -> None:
        self._engine = engine
        self._max_queue = max_queue
        self._max_batch_size = max_batch_size
        self._max_batch_tokens = max_batch_tokens
        self._changed = threading.Condition()
        self._queue: list[_Entry] = []
        self._entries: dict[str, _Entry] = {}
        self._waiting_requests = 0
        self._idle = engine.workers
        self._running = 0
        """Runs in batches."""
        self._closed = False
        self._went_on = False
        """Whether the latest batch was one of runs that go on."""
        self._threads = [
            threading.Thread(target=self._work, name=f"alcove-worker-{number}", daemon=True)
            for number in range(engine.workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def capabilities(self) -> Capabilities:
        """Those of the engine behind."""
        return self._engine.capabilities

    def check(self, run: Run) -> None:
        """Ask the engine behind; see `Engine.check`."""
        self._engine.check(run)

    def submit(self, runs: Sequence[Run], sink: Sink) -> None:
        """Queue these runs, all or none; see `Engine.submit`."""
        request = _Request(waiting=len(runs))
        entries = [_Entry(run, self._engine.batch_key(run), sink, request, open_outputs=run.outputs) for run in runs]
        with self._changed:
            if self._closed:
                raise ShuttingDown("The server is stopping.")
            if self._waiting_requests >= self._max_queue + self._idle:
                raise Overloaded(f"All workers are busy and {self._waiting_requests} requests are waiting.")
            self._waiting_requests += 1
            self._queue.extend(entries)
            self._entries.update({entry.run.id: entry for entry in entries})
            self._changed.notify_all()

    def cancel(self, run_id: str) -> None:
        """Forget a waiting run; end the row of a running one at its next step."""
        with self._changed:
            if entry := self._entries.pop(run_id, None):
                entry.cancelled = True
                if entry in self._queue:
                    self._queue.remove(entry)
                    self._left_queue(entry)

    def close(self) -> None:
        """Fail what waits, end what runs, stop the workers and release the model."""
        with self._changed:
            self._closed = True
            waiting, self._queue = self._queue, []
            for entry in self._entries.values():
                if entry not in waiting:
                    entry.fail("the server is stopping")
                    entry.cancelled = True
            self._changed.notify_all()
        for entry in waiting:
            entry.fail("the server is stopping")
        for thread in self._threads:
            thread.join()
        self._engine.close()

    def _work(self) -> None:
        company, patience = 1, 0.0
        while batch := self._next_batch(company, patience):
            begun = time.monotonic()
            unfinished = self._run(batch)
            ended = time.monotonic()
            company, patience = len(batch), ended + (ended - begun) * PATIENCE
            with self._changed:
                self._idle += 1
                self._running -= len(batch)
                for entry in batch:
                    if entry not in unfinished:
                        self._entries.pop(entry.run.id, None)
                self._queue += [entry for entry in unfinished if not self._ended(entry)]
                self._changed.notify(len(unfinished))

    def _next_batch(self, company: int, patience: float) -> list[_Entry]:
        """Wait for work, and until the time `patience` for as many runs as `company`, if that is more than one. An
        empty list means that the batcher is closed."""
        with self._changed:
            if company > 1:
                remaining = patience - time.monotonic()
                self._changed.wait_for(lambda: len(self._queue) >= company or self._closed, remaining)
            self._changed.wait_for(lambda: self._queue or self._closed)
            if self._closed:
                return []
            batch = self._pick()
            self._queue = [entry for entry in self._queue if entry not in batch]
            for entry in batch:
                self._left_queue(entry)
            self._idle -= 1
            self._running += len(batch)
            return batch

    def _pick(self) -> list[_Entry]:
        """The run whose turn it is, and those that may share its batch, in the order of their coming; not more than
        this worker's share of all runs, or it would do what another waits for.

        Runs that go on and runs that have not begun take turns, so that neither holds up the other.
        """
        share = -(-(len(self._queue) + self._running) // self._engine.workers)
        most = min(self._max_batch_size, share)
        first = next((entry for entry in self._queue if entry.begun != self._went_on), self._queue[0])
        self._went_on = first.begun
        batch: list[_Entry] = []
        longest = 0
        for entry in [first, *(entry for entry in self._queue if entry is not first)]:
            if entry.key != first.key:
                continue
            longest = max(longest, len(entry.run.tokens))
            if batch and longest * (len(batch) + 1) > self._max_batch_tokens:
                break
            batch.append(entry)
            if len(batch) == most:
                break
        return batch

    def _ended(self, entry: _Entry) -> bool:
        """Whether a run that should go on need not any more; the caller holds the lock."""
        if self._closed:
            entry.fail("the server is stopping")
        return self._closed or entry.cancelled

    def _run(self, batch: list[_Entry]) -> list[_Entry]:
        """Run a batch; returns the entries whose runs must go on in a later one."""
        entries = {entry.run.id: entry for entry in batch}
        unfinished: list[_Entry] = []
        try:
            rest = self._engine.run([entry.run for entry in batch], lambda step: entries[step.run].take(step))
            for run in rest:
                entry = entries[run.id]
                entry.run, entry.key = run, self._engine.batch_key(run)
                unfinished.append(entry)
            reason = "the engine ended without an answer"
        except Exception as error:
            logger.exception("The engine failed on a batch of %d", len(batch))
            reason = f"{type(error).__name__}: {error}"
            unfinished = []
        for entry in batch:
            if entry not in unfinished:
                entry.fail(reason)
        return unfinished

    def _left_queue(self, entry: _Entry) -> None:
        if entry.begun:
            return
        entry.begun = True
        entry.request.waiting -= 1
        if not entry.request.waiting:
            self._waiting_requests -= 1
