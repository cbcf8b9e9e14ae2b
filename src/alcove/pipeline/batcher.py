"""Dynamic batching: makes an `Engine` of a `BatchEngine` that runs closed batches.

Runs wait in one bounded queue (`queue.py`, which says who goes with whom), and each worker thread takes its share of
them. A lone run on an idle server starts at once; after a batch of several, a worker gives the clients that it has just
answered a moment to come back together.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from alcove.engines.base import BatchEngine, Capabilities, Sink
from alcove.engines.faults import STOPPING, fault_of
from alcove.errors import Overloaded, ShuttingDown
from alcove.metrics.series import Histogram
from alcove.pipeline.cores import Cores
from alcove.pipeline.entries import Entry, Outbox, Request
from alcove.pipeline.queue import Queue
from alcove.runs import Fault, Run

logger = logging.getLogger(__name__)

PATIENCE = 0.1
"""How long a worker waits for company, as a share of what its latest batch took. Without it, workers take the requests
of a closed loop of clients in ones and twos."""
QUIET = 0.05
"""The same, after which it waits no longer if nobody has come: clients of a closed loop come back in quick succession,
and those who come at random should not wait for others."""
PARTING_S = 10.0
"""How long `close` waits for batches that are running; an engine that hangs must not keep the process from ending."""


@dataclass(slots=True, eq=False)
class _Waiter:
    """A worker that has nothing to do."""

    company: int
    """How many waiting runs it wants to see before it begins."""
    woken: threading.Condition


class Batcher:
    """The shared front of all engines that run closed batches."""

    def __init__(
        self,
        engine: BatchEngine,
        cores: Cores,
        *,
        max_queue: int,
        max_batch_size: int,
        max_batch_tokens: int,
        sizes: Histogram | None = None,
    ) -> None:
        """`sizes`: where the sizes of batches are counted."""
        self._engine = engine
        self._sizes = sizes
        self._max_queue = max_queue
        self._lock = threading.Lock()
        self._queue = Queue(engine, max_batch_size=max_batch_size, max_batch_tokens=max_batch_tokens)
        self._cores = cores.join(engine.cores, has_work=lambda: len(self._queue) > 0, again=self._try_again)
        self._entries: dict[str, Entry] = {}
        self._waiters: list[_Waiter] = []
        self._outboxes: set[Outbox] = set()
        """Those of the batches that run."""
        self._arrivals = 0
        """Requests so far."""
        self._closed = False
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

    @property
    def waiting(self) -> int:
        """Requests of which a run has not begun."""
        return self._queue.requests

    @property
    def room(self) -> int:
        """See `Engine.room`."""
        return self._max_queue + self._idle - self._queue.requests

    @property
    def silent_s(self) -> float:
        """See `Engine.silent_s`."""
        with self._lock:
            since = min((outbox.flushed_at for outbox in self._outboxes), default=None)
        return 0.0 if since is None else time.monotonic() - since

    @property
    def _idle(self) -> int:
        """Workers that run no batch."""
        return self._engine.workers - len(self._outboxes)

    def check(self, run: Run) -> None:
        """Ask the engine behind; see `Engine.check`."""
        self._engine.check(run)

    def submit(self, runs: Sequence[Run], sink: Sink) -> None:
        """Queue these runs, all or none; see `Engine.submit`."""
        request = Request(waiting=len(runs))
        entries = [self._entry(run, sink, request) for run in runs]
        with self._lock:
            if self._closed:
                raise ShuttingDown(STOPPING)
            if self.room <= 0:
                raise Overloaded(f"All workers are busy and {self._queue.requests} requests are waiting.")
            self._arrivals += 1
            self._queue.add(entries)
            self._entries.update({entry.run.id: entry for entry in entries})
            self._wake(len(entries))

    def cancel(self, run_id: str) -> None:
        """Forget a waiting run; end the row of a running one at its next step."""
        with self._lock:
            if entry := self._entries.pop(run_id, None):
                entry.cancelled = True
                self._queue.remove(entry)

    def close(self) -> None:
        """Fail what waits, end what runs, stop the workers and release the model; which stays where it is when a batch
        does not end."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            for entry in self._entries.values():
                entry.fail(STOPPING, Fault(kind="stopping"))
            for waiter in self._waiters:
                waiter.woken.notify()
        until = time.monotonic() + PARTING_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._cores.leave()
        if any(thread.is_alive() for thread in self._threads):
            logger.error("The engine hangs: its memory is not free before the process ends")
            return
        self._engine.close()

    def _entry(self, run: Run, sink: Sink, request: Request) -> Entry:
        engine = self._engine
        return Entry(run, engine.batch_key(run), engine.length(run), sink, request, open_outputs=run.outputs)

    def _work(self) -> None:
        company, took = 1, 0.0
        while (outbox := self._next_batch(company, took)) is not None:
            begun, batch = time.monotonic(), outbox.batch
            unfinished = self._run(outbox)
            # who must go on does not wait for those who may come back
            company, took = 1 if unfinished else len(batch), time.monotonic() - begun
            self._cores.give_back()
            with self._lock:
                self._outboxes.remove(outbox)
                for entry in unfinished:
                    if not entry.ended:
                        self._queue.add_again(entry)
                for entry in batch:
                    if entry not in unfinished:
                        self._entries.pop(entry.run.id, None)
                self._wake(len(unfinished) - 1)  # this worker takes one itself

    def _next_batch(self, company: int, took: float) -> Outbox | None:
        """Wait for work, and for a while for as many runs as `company`, the latest batch's, which took so many seconds.
        None means that the batcher is closed."""
        with self._lock:
            if not (company > 1 and self._gathered(company, took)):
                self._wait_for(1)
            if self._closed:
                return None
            # not more than this worker's share of all runs, or it would do what another waits for; those that others
            # expect back count as theirs
            workers = min(self._engine.workers, self._cores.most)
            expected = sum(waiter.company for waiter in self._waiters if waiter.company > 1)
            running = sum(len(outbox.batch) for outbox in self._outboxes)
            share = -(-(len(self._queue) + running + expected) // workers)
            outbox = Outbox(self._queue.pick(share), self._lock)
            outbox.begin()
            self._outboxes.add(outbox)
            if self._sizes is not None:
                self._sizes.observe(len(outbox.batch))
            self._wake(len(self._queue))  # what is left may be another's work
            return outbox

    def _gathered(self, company: int, took: float) -> bool:
        """Wait for company as long as there is hope of it; whether it has come, and the cores are taken."""
        until = time.monotonic() + took * PATIENCE
        while (left := until - time.monotonic()) > 0:
            before = self._arrivals
            if self._wait_for(company, min(left, took * QUIET)):
                return True
            if self._closed or self._arrivals == before:
                return False
        return False

    def _wait_for(self, company: int, timeout: float | None = None) -> bool:
        """Wait until there is so much work and the cores for it, which are then taken; False after `timeout` seconds,
        or when the batcher is closed."""
        waiter = _Waiter(company, threading.Condition(self._lock))
        self._waiters.append(waiter)
        taken = waiter.woken.wait_for(lambda: self._closed or self._may_begin(company), timeout)
        self._waiters.remove(waiter)
        return taken and not self._closed

    def _may_begin(self, company: int) -> bool:
        return len(self._queue) >= company and self._cores.take()

    def _try_again(self) -> None:
        with self._lock:
            self._wake(len(self._queue))

    def _wake(self, runs: int) -> None:
        """Wake so many of the workers that have enough to do now; the caller holds the lock."""
        for waiter in [waiter for waiter in self._waiters if waiter.company <= len(self._queue)][: max(runs, 0)]:
            waiter.woken.notify()

    def _run(self, outbox: Outbox) -> list[Entry]:
        """Run a batch; returns the entries whose runs must go on in a later one."""
        batch = outbox.batch
        entries = {entry.run.id: entry for entry in batch}
        unfinished: list[Entry] = []
        reason, fault = "the engine ended without an answer", None
        try:
            for run in self._engine.run([entry.run for entry in batch], outbox):
                entry = entries[run.id]
                entry.run, entry.key, entry.length = run, self._engine.batch_key(run), self._engine.length(run)
                unfinished.append(entry)
        except Exception as error:
            logger.exception("The engine failed on a batch of %d", len(batch))
            reason, fault = f"{type(error).__name__}: {error}", fault_of(error)
            unfinished = []
        outbox.flush()
        with self._lock:
            for entry in batch:
                if entry not in unfinished:
                    entry.fail(reason, fault)
        return unfinished
