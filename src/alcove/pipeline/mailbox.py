"""How steps come from engine threads to the event loop: one mailbox a model, a reader a request.

Engine threads put steps in; the loop is woken only when the mailbox was empty, and what has piled up for a reader
is taken at once. Used by `pipeline/model.py`.
"""

import asyncio
import threading
from collections.abc import Iterable

from alcove.runs import Step


class Reader:
    """The steps of one request's runs, in the order in which the engine made them. Lives on the event loop."""

    def __init__(self, mailbox: "Mailbox", runs: Iterable[str]) -> None:
        self._mailbox = mailbox
        self._runs = tuple(runs)
        self._pending: list[Step] = []
        self._arrived = asyncio.Event()

    async def take(self) -> list[Step]:
        """All steps that have arrived since the last call; waits for the first."""
        await self._arrived.wait()
        self._arrived.clear()
        steps, self._pending = self._pending, []
        return steps

    def add(self, step: Step) -> None:
        """Take a step in; called by the mailbox."""
        self._pending.append(step)
        self._arrived.set()

    def close(self) -> None:
        """Steps of these runs go nowhere from now on."""
        self._mailbox.forget(self._runs)


class Mailbox:
    """Takes the steps of all runs of a model and hands them to their readers on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._steps: list[Step] = []
        self._readers: dict[str, Reader] = {}

    def open(self, runs: Iterable[str]) -> Reader:
        """A reader for these runs; call it before they are submitted."""
        runs = tuple(runs)
        reader = Reader(self, runs)
        self._readers.update(dict.fromkeys(runs, reader))
        return reader

    def put(self, step: Step) -> None:
        """The engine's sink: any thread, never blocks, never raises."""
        with self._lock:
            was_empty = not self._steps
            self._steps.append(step)
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
