"""How steps come from engine threads to the event loop: one mailbox a model, a reader a request.

Engine threads put steps in; the loop is woken only when it does not know yet, and what has piled up for a reader is
taken at once. Used by `pipeline/model.py`.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence

from alcove.errors import DeadlineExceeded
from alcove.runs import Step

MOST_AT_ONCE = 256
"""Steps that a reader is given at once. What has piled up for one who was slow, 100,000 of them perhaps, would keep the
event loop from all others for seconds while it is made into text."""

MOST_BEHIND, AWAY_S = 16_384, 0.25
"""Steps, 2 to 4 MB, that may wait for a reader who has taken nothing for so many seconds: its client reads more slowly
than the engine writes, and what the system holds on the way is full. `server.send_timeout_s` alone would not bound
what a fast engine makes in that time."""


def _nothing() -> None:
    """Nobody need be told."""


class Reader:
    """The steps of one request's runs, in the order in which the engine made them. Lives on the event loop."""

    def __init__(
        self,
        mailbox: "Mailbox",
        runs: Iterable[str],
        loop: asyncio.AbstractEventLoop,
        gather_s: float,
        on_failure: Callable[[], None],
    ) -> None:
        self._mailbox = mailbox
        self._runs = tuple(runs)
        self._loop = loop
        self._gather_s = gather_s
        self._on_failure = on_failure
        self._pending: list[Step] = []
        self._due = False
        """Whether what is pending is to be taken at once."""
        self._left = False
        """Whether some of it was left behind by the latest call."""
        self._taken_at = loop.time()
        self._arrived: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self.begun = False
        """Whether work on one of the runs is known to have begun."""
        self.told = False
        """Whether one of them has had any other news."""

    async def take(self) -> list[Step]:
        """The steps that have arrived since the last call, `MOST_AT_ONCE` at the most. Waits for the first, and on for
        up to `gather_s` or until an output or a run has ended. Raises what `fail` was given."""
        if self._left:
            await asyncio.sleep(0)
        elif not self._due:
            self._arrived = self._loop.create_future()
            timer = self._loop.call_later(self._gather_s, self._look) if self._gather_s else None
            try:
                await self._arrived
            finally:
                if timer is not None:
                    timer.cancel()
        if self._failure is not None:
            raise self._failure
        steps, self._pending = self._pending[:MOST_AT_ONCE], self._pending[MOST_AT_ONCE:]
        self._left = self._due = bool(self._pending)
        self._taken_at = self._loop.time()
        return steps

    def add(self, step: Step) -> None:
        """Take a step in; called by the mailbox."""
        self.begun = True
        if step.began:
            return
        self.told = True
        self._pending.append(step)
        if len(self._pending) > MOST_BEHIND and not self._gather_s and self._loop.time() > self._taken_at + AWAY_S:
            self.fail(DeadlineExceeded(f"The request was given up: its client is {MOST_BEHIND:,} tokens behind."))
        if not self._gather_s or ends(step):
            self._wake()

    def refresh(self) -> None:
        """See what has come that nobody was to be woken for."""
        self._mailbox.deliver()

    def fail(self, error: Exception) -> None:
        """Nothing more is wanted: whoever takes next, or is waiting, gets this error. Until it is taken, which a client
        that does not read puts off, the runs must not go on: `on_failure` ends them."""
        self._failure = error
        self.close()
        self._on_failure()
        self._wake()

    def close(self) -> None:
        """Steps of these runs go nowhere from now on."""
        self._mailbox.forget(self._runs)

    def _look(self) -> None:
        self.refresh()
        self._wake()

    def _wake(self) -> None:
        self._due = True
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)


class Mailbox:
    """Takes the steps of all runs of a model and hands them to their readers on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._steps: list[Step] = []
        self._woken = False
        """Whether the loop knows that there is something."""
        self._readers: dict[str, Reader] = {}
        self._patient: set[str] = set()
        """Runs whose news may gather: only their ends wake the loop."""

    def open(self, runs: Iterable[str], gather_s: float = 0.0, on_failure: Callable[[], None] = _nothing) -> Reader:
        """A reader for these runs; call it before they are submitted. It may let news gather for `gather_s` seconds,
        for whom only the end counts. `on_failure` is called when it is made to fail."""
        runs = tuple(runs)
        reader = Reader(self, runs, self._loop, gather_s, on_failure)
        self._readers.update(dict.fromkeys(runs, reader))
        if gather_s:
            self._patient.update(runs)
        return reader

    def put(self, steps: Sequence[Step]) -> None:
        """The engine's sink: any thread, never blocks, never raises."""
        patient = self._patient
        urgent = any((step.run not in patient or ends(step)) and not step.began for step in steps)
        with self._lock:
            self._steps.extend(steps)
            if self._woken or not urgent:
                return
            self._woken = True
        try:
            self._loop.call_soon_threadsafe(self.deliver)
        except RuntimeError:  # the loop is closed: the process ends, nobody reads any more
            return

    def forget(self, runs: Iterable[str]) -> None:
        """Drop what still comes for these runs."""
        for run in runs:
            self._readers.pop(run, None)
            self._patient.discard(run)

    def deliver(self) -> None:
        """Hand all steps to their readers; on the event loop."""
        with self._lock:
            steps, self._steps, self._woken = self._steps, [], False
        for step in steps:
            if reader := self._readers.get(step.run):
                reader.add(step)


def ends(step: Step) -> bool:
    """Whether an output, or the run, has come to its end."""
    return step.finish is not None or step.error is not None
