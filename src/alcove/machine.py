"""What this process has of its machine, and what it may have: processor cores and memory, its container's limits
counted. Asked by the engines for their threads and by the pool for room."""

import ctypes
import gc
import os
import sys
from pathlib import Path

ARENAS = 2
"""Areas from which threads are given memory. glibc would have eight a core (mallopt(3), M_ARENA_MAX), and each keeps up
to 64 MB of what was freed in it. Measured, T5 of 223M loaded and unloaded eight times: 261 MB were left of a process of
86, and they grew; with two areas 109, and they did not."""
_M_ARENA_MAX = -8
_GROUP = Path("/sys/fs/cgroup")
"""Where Linux shows a container the limits of its control group."""


def usable_cores() -> int:
    """Cores that the process may keep busy: those that it may run on, or fewer by its container's quota of time."""
    allowed = len(os.sched_getaffinity(0))
    quota = _quota()
    return allowed if quota is None else max(1, min(allowed, round(quota)))


def available_bytes() -> int:
    """Memory that the process could have: the machine's, or its container's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = _numbers("memory.max") or _numbers("memory/memory.limit_in_bytes")
    return min([machine, *limits])


def resident_bytes() -> int:
    """Memory that the process has now; 0 where the system does not tell (only Linux has /proc)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def share_arenas() -> None:
    """Have all threads be given memory from few areas, so that what one frees another can use. To be called before
    there are threads."""
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, ARENAS)


def return_freed() -> None:
    """Give what is no longer used back to the system: objects in cycles, and what glibc keeps for itself
    (malloc_trim(3)). Blocks."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none, and keeps nothing
        if trim is not None:
            trim(0)


def _quota() -> float | None:
    """Cores by the control group's quota; of version 2, then of version 1. None: no limit."""
    if len(limit := _numbers("cpu.max")) == 2:
        return limit[0] / limit[1]
    quota, period = _numbers("cpu/cpu.cfs_quota_us"), _numbers("cpu/cpu.cfs_period_us")
    return quota[0] / period[0] if quota and period and quota[0] > 0 else None


def _numbers(name: str) -> list[int]:
    """The numbers in a file of the control group; none where there is no such file, and for words like `max`."""
    try:
        return [int(word) for word in (_GROUP / name).read_text().split() if word.lstrip("-").isdecimal()]
    except OSError:
        return []
