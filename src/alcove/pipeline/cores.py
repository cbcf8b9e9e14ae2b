"""The one budget of processor cores for all models of a process. Made by `pool.py`; each model's batcher has a share.

A model may always run one batch, so that none waits for another's to end. Further batches at the same time need free
cores and a share that is not used up; shares are equal among the models that have work. Two busy models on two cores
then run a batch each: with two each they made 0.7 as many tokens (measured).
"""

import sys
import threading
from collections.abc import Callable


class Cores:
    """Counts the cores that are busy. May be called from any thread."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._shares: list[Share] = []

    def join(self, a_batch: int, *, has_work: Callable[[], bool], again: Callable[[], None]) -> "Share":
        """A share for a model whose batches keep `a_batch` cores busy each. `has_work` tells whether runs wait, without
        a lock; `again` is called after a refusal, without a lock, when it is worth another try."""
        share = Share(self, a_batch, has_work, again)
        with self._lock:
            self._shares.append(share)
        return share

    def _take(self, share: "Share") -> bool:
        with self._lock:
            if share.batches and share.a_batch:
                busy = sum(other.batches * other.a_batch for other in self._shares)
                if busy + share.a_batch > self._count or share.batches >= self._most(share):
                    share.refused = True
                    return False
            share.batches += 1
            return True

    def _most(self, share: "Share") -> int:
        if not share.a_batch:  # another device works: its own limits hold
            return sys.maxsize
        rivals = [other for other in self._shares if other is not share and other.a_batch]
        active = 1 + sum(1 for other in rivals if other.batches or other.has_work())
        return max(1, -(-self._count // active) // share.a_batch)

    def _give_back(self, share: "Share") -> None:
        with self._lock:
            share.batches -= 1
            if share.left and not share.batches:
                self._shares.remove(share)
            refused = [other for other in self._shares if other.refused]
            for other in refused:
                other.refused = False
        for other in refused:
            other.again()

    def _leave(self, share: "Share") -> None:
        with self._lock:
            share.left = True
            if not share.batches:
                self._shares.remove(share)


class Share:
    """One model's part of the budget."""

    def __init__(self, cores: Cores, a_batch: int, has_work: Callable[[], bool], again: Callable[[], None]) -> None:
        self._cores = cores
        self.a_batch = a_batch
        """Cores that a batch keeps busy."""
        self.has_work = has_work
        self.again = again
        self.batches = 0
        """Batches that run."""
        self.refused = False
        """Whether a batch waits for cores."""
        self.left = False
        """Whether the model is closed."""

    @property
    def most(self) -> int:
        """How many batches of the model may run at the same time, as things are."""
        return self._cores._most(self)  # the two classes are one thing

    def take(self) -> bool:
        """Whether a batch may begin now; it then counts."""
        return self._cores._take(self)

    def give_back(self) -> None:
        """A batch has ended. To be called without a lock that an `again` needs."""
        self._cores._give_back(self)

    def leave(self) -> None:
        """The model is closed; a batch of it that hangs keeps its cores until it ends."""
        self._cores._leave(self)
