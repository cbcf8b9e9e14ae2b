"""Which models must go to make room for another. The policy of `pipeline/pool.py`, without clocks or models."""

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Idle(Protocol):
    """A model in memory that nobody uses."""

    @property
    def bytes(self) -> int:
        """Memory that its going would free."""

    @property
    def used_at(self) -> float:
        """When it was used last."""


Leaving = TypeVar("Leaving", bound=Idle)


def who_goes(missing: int, idle: Iterable[Leaving]) -> list[Leaving] | None:
    """Of the idle models those that have been idle longest and together free `missing` bytes; None when all of them
    would not be enough."""
    going: list[Leaving] = []
    for one in sorted(idle, key=lambda one: one.used_at):
        if missing <= 0:
            break
        going.append(one)
        missing -= one.bytes
    return going if missing <= 0 else None


def in_words(count: int) -> str:
    """Bytes for a person: `1.2 GiB`, `310 MiB`."""
    gib = count / 2**30
    return f"{gib:.1f} GiB" if gib >= 1 else f"{count / 2**20:.0f} MiB"
