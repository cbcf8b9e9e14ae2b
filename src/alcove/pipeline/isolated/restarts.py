"""When a process that has died is started again: at once, then after ever longer pauses.

A policy without clocks; `engine.py` tells it of each death.
"""

MOST = 4
"""Deaths in a row after which the model counts as failed."""
FIRST_PAUSE_S = 0.5
"""After the second death in a row; each further pause is twice as long."""
LONG_PAUSE_S = 60.0
"""Between the attempts with a model that has failed: the cause may go away."""
STABLE_S = 60.0
"""A process that has served for so long was sound: its death is the first of a new row."""


class Restarts:
    """Counts deaths in a row."""

    def __init__(self) -> None:
        self._deaths = 0

    @property
    def failed(self) -> bool:
        """Whether there have been so many that there is little hope."""
        return self._deaths > MOST

    def pause_s(self, served_s: float) -> float:
        """Seconds to wait after the death of a process that had served for so many seconds."""
        self._deaths = 1 if served_s >= STABLE_S else self._deaths + 1
        if self.failed:
            return LONG_PAUSE_S
        return 0.0 if self._deaths == 1 else FIRST_PAUSE_S * 2.0 ** (self._deaths - 2)
