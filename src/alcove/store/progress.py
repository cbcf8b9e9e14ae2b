"""How the store tells of work that takes long: the port that `cli/transfers.py` implements.

Taken by `pull`, `convert` and what they call; whoever wants no news passes `Silent()`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Count = Callable[[int], None]
"""Told how many further bytes are done."""


class Watcher(Protocol):
    """Shows parts of the work as they go on."""

    def part(self, what: str, total: int | None = None, done: int = 0) -> AbstractContextManager[Count]:
        """A part that lasts as long as the block: `total` bytes of which `done` are there; None when nobody knows."""

    def says(self, line: str) -> None:
        """Something a person should know."""


class Silent:
    """A watcher that shows nothing."""

    def part(self, what: str, total: int | None = None, done: int = 0) -> AbstractContextManager[Count]:
        """See `Watcher.part`."""
        return nullcontext(_ignored)

    def says(self, line: str) -> None:
        """See `Watcher.says`."""


def _ignored(count: int) -> None:
    pass
