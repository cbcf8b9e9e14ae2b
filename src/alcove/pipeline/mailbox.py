"""How steps come from engine threads to the event loop: one mailbox a model, a reader a request.

Engine threads put steps in; the loop is woken only when the mailbox was empty, and what has piled up for a reader
is taken at once. Used by `pipeline/model.py`.
"""

import asyncio
import threading
from collections.abc import Iterable, Sequence

from alcove.runs import Step


class Reader:
    """The steps of one request's runs, in the order in which the engine made them. Lives on the event loop."""

    def __init__(
        self, mailbox: "Mailbox", runs: Iterable[str], loop: asyncio.AbstractEventLoop, gather_s: float
    ) -> None:
        self._mailbox = mailbox
        self._runs = tuple(runs)
        self._loop = loop
        self._gather_s = gather_s
        self._pending: list[Step] = []
        self._arrived: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def take(self) -> list[Step]:
        """All steps that have arrived since the last call. Waits for the first, and on for `gather_s` or until an
        output or a run has ended."""
        if not self._pending or self._timer is not None:
            self._arrived = self._loop.create_future()
            await self._arrived
        steps, self._pending = self._pending, []
        return steps

    def add(self, step: Step) -> None:
        """Take a step in; called by the mailbox."""
        self._pending.append(step)
        if not self._gather_s or step.finish is not None or step.error is not None:
            self._wake()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._gather_s, self._wake)

    def close(self) -> None:
        """Steps of these runs go nowhere from now on."""
        self._mailbox.forget(self._runs)
        if self._timer is not None:
            self._timer.cancel()

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)


class Mailbox:
    """Takes the steps of all runs of a model and hands them to their readers on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._steps: list[Step] = []
        self._readers: dict[str, Reader] = {}

    def open(self, runs: Iterable[str], gather_s: float = 0.0) -> Reader:
        """A reader for these runs; call it before they are submitted. It may let news gather for `gather_s` seconds,
        for whom only the end counts."""
        runs = tuple(runs)
        reader = Reader(self, runs, self._loop, gather_s)
        self._readers.update(dict.fromkeys(runs, reader))
        return reader

    def put(self, steps: Sequence[Step]) -> None:
        """The engine's sink: any thread, never blocks, never raises."""
        with self._lock:
            was_empty = not self._steps
            self._steps.extend(steps)
        if was_empty:
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed: the process ends, nobody reads any more
                return

    def forget(self, runs: Iterable[str]) -> None:
        """Drop what still comes for these runs."""
        for run in runs:
            self._readers.pop(run, None)

    def _deliver(self) -> None:
        with self._lock:
            steps, self._steps = self._steps, []
        for step in steps:
            if reader := self._readers.get(step.run):
                reader.add(step)
