"""The process's memory: what it has, what it may have, and who must go to make room. Asked by `pipeline/pool.py`."""

import ctypes
import gc
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, TypeVar

SHARE = 0.8
"""The part of the machine's memory, or the container's, that the process may take where nothing else is set."""
_CONTAINER = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Limits of control groups, version 2 and 1."""


def available_bytes() -> int:
    """Memory that this process could have: the machine's, or its container's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *(limit for path in _CONTAINER if (limit := _number(path)) is not None)])


def resident_bytes() -> int:
    """Memory that the process has now; 0 where the system does not tell (only Linux has /proc)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def return_freed() -> None:
    """Give what is no longer used back to the system: objects in cycles, and what glibc keeps for itself
    (malloc_trim(3)). Blocks."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none, and keeps nothing
        if trim is not None:
            trim(0)


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


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such group, or "max"
        return None
