"""Which runs wait, and which of them make the next batch: the policy of the batcher, without threads or clocks.

The oldest run goes first, and in its batch what costs least a run together with it; so no run is overtaken for ever,
and long prompts keep company with long ones. `batcher.py` calls it, one thread at a time.
"""

from collections.abc import Sequence

from alcove.engines.base import BatchEngine
from alcove.pipeline.entries import Entry

WORTH_DIVIDING = 0.95
"""Two batches in place of one may cost so much more: the second will find further company."""


class Queue:
    """The runs that wait, oldest first, in two lines: those that have not begun, and those that must go on.

    The two take turns, so that neither holds up the other: a run waits for at most two batches for each run that came
    before it in its line.
    """

    def __init__(self, engine: BatchEngine, *, max_batch_size: int, max_batch_tokens: int) -> None:
        self._engine = engine
        self._max_batch_size = max_batch_size
        self._max_batch_tokens = max_batch_tokens
        self._fresh: dict[str, Entry] = {}
        self._going: dict[str, Entry] = {}
        self._went_on = False
        """Whether the latest batch was that of a run which goes on."""
        self.requests = 0
        """Requests of which a run has not begun."""

    def __len__(self) -> int:
        return len(self._fresh) + len(self._going)

    def add(self, entries: Sequence[Entry]) -> None:
        """The runs of one request, which have not begun."""
        self.requests += 1
        self._fresh.update({entry.run.id: entry for entry in entries})

    def add_again(self, entry: Entry) -> None:
        """A run that must go on."""
        self._going[entry.run.id] = entry

    def remove(self, entry: Entry) -> None:
        """Forget a run, if it waits."""
        line = self._going if entry.begun else self._fresh
        if line.pop(entry.run.id, None) is not None:
            self._begin(entry)

    def clear(self) -> None:
        """Forget all runs."""
        self._going, self._fresh, self.requests = {}, {}, 0

    def pick(self, most: int) -> list[Entry]:
        """Take out the next batch, of `most` runs at the most; somebody must be waiting."""
        first = self._next_in_turn()
        self._went_on = first.begun
        batch = self._company(first, min(most, self._max_batch_size))
        for entry in batch:
            self.remove(entry)
        return batch

    def _next_in_turn(self) -> Entry:
        lines = (self._fresh, self._going) if self._went_on else (self._going, self._fresh)
        return next(iter((lines[0] or lines[1]).values()))

    def _company(self, first: Entry, most: int) -> list[Entry]:
        """The entry and those with which it costs least a run; of equally near ones the oldest. They must cost no more
        together than it alone and they alone; and where one more batch for those that are left over would clearly cost
        more, these come along."""
        waiting = (*self._going.values(), *self._fresh.values())
        others = [entry for entry in waiting if entry is not first and entry.key == first.key]
        others.sort(key=lambda entry: abs(entry.length - first.length))
        batch = self._within_limits(first, others, most)
        costs = {1: self._cost(batch[:1])}
        for size in range(2, len(batch) + 1):
            together = self._cost(batch[:size])
            if together <= costs[1] + self._cost(batch[1:size]):
                costs[size] = together
        best = min(costs, key=lambda size: (costs[size] / size, -size))
        widest = max(costs)
        if widest > best and costs[widest] < WORTH_DIVIDING * (costs[best] + self._cost(batch[best:widest])):
            best = widest
        return batch[:best]

    def _within_limits(self, first: Entry, others: Sequence[Entry], most: int) -> list[Entry]:
        batch, longest = [first], first.length
        for entry in others:
            if len(batch) == most:
                break
            if max(longest, entry.length) * (len(batch) + 1) <= self._max_batch_tokens:
                longest = max(longest, entry.length)
                batch.append(entry)
        return batch

    def _cost(self, batch: Sequence[Entry]) -> float:
        return self._engine.cost([entry.run for entry in batch])

    def _begin(self, entry: Entry) -> None:
        if entry.begun:
            return
        entry.begun = True
        entry.request.waiting -= 1
        if not entry.request.waiting:
            self.requests -= 1
