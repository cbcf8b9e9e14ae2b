"""Which runs are with the manager, and whether there is room for more. Used by `engine.py`, one thread at a time."""

from collections.abc import Sequence

from alcove.engines.transformers.continuous.going import Going
from alcove.errors import Overloaded
from alcove.runs import Fault, Step


class Places:
    """The runs that have not ended, by their ids."""

    def __init__(self, runs: int, max_queue: int) -> None:
        """`runs` may go on at the same time, and `max_queue` requests wait."""
        self._runs = runs
        self._max_queue = max_queue
        self._going: dict[str, Going] = {}

    def __len__(self) -> int:
        return len(self._going)

    @property
    def waiting(self) -> int:
        """Requests of which a run has no token yet."""
        return len({going.request for going in self._going.values() if going.request.waiting})

    @property
    def room(self) -> int:
        """How many more requests find a place, or one in the queue."""
        free = self._runs - sum(going.begun for going in self._going.values())
        return self._max_queue + max(free, 0) - self.waiting

    def find(self, run_id: str) -> Going | None:
        """None: it has ended or was cancelled."""
        return self._going.get(run_id)

    def add(self, request: Sequence[Going]) -> None:
        """The runs of one request; raises `Overloaded` where it would be one too many that waits."""
        if self.room <= 0:
            raise Overloaded(f"All places are taken and {self.waiting} requests are waiting.")
        self._going.update({going.row.run.id: going for going in request})

    def begin(self, going: Going) -> None:
        """It does not wait any more."""
        if not going.begun:
            going.begun = True
            going.request.waiting -= 1

    def remove(self, run_id: str) -> bool:
        """Forget a run; False: it is not here."""
        going = self._going.pop(run_id, None)
        if going is not None:
            self.begin(going)
        return going is not None

    def fail_all(self, reason: str, fault: Fault | None) -> None:
        """End what is here."""
        for run_id, going in self._going.items():
            going.sink([Step(run=run_id, error=reason, fault=fault)])
        self._going.clear()
