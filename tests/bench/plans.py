"""The ways to call an engine directly, and how the best of them is found."""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

HOPEFUL = 0.92
"""Plans that reach so much of the best one's speed are tried once more."""
HOPELESS = 0.8
"""A trial is given up when it cannot reach so much of the best one's speed."""


class Plan(NamedTuple):
    """One way."""

    workers: int
    threads: int
    """Of each worker."""
    size: int
    """Rows of a batch; 0 puts prompts of equal length together."""

    def __str__(self) -> str:
        batches = f"batches of {self.size}" if self.size else "equal lengths together"
        return f"workers {self.workers}, threads {self.threads}, {batches}"


def plans(kind: str, rows: int) -> list[list[Plan]]:
    """Those worth a trial for so many rows at a time, a list for each way to use all cores (with one row, some), the
    most workers first. In a list batches shrink, so that what follows a clearly worse one is worse still."""
    cores = len(os.sched_getaffinity(0))
    powers = [1 << bits for bits in reversed(range(cores.bit_length()))]
    if rows == 1:
        return [[Plan(1, threads, 1)] for threads in powers]
    found = []
    for workers in powers:
        halves = (rows // workers).bit_length() if kind == "causal" else 2
        sizes = [rows // workers >> half for half in range(halves)]
        found.append([Plan(workers, cores // workers, size) for size in sizes])
    if kind == "causal":
        found += [[Plan(cores, 1, size)] for size in (0, 1)]
    return found


def best(families: Sequence[Sequence[Plan]], measure: Callable[[Plan, float], float]) -> Plan:
    """The quickest: `measure` gives tokens a second of a plan, and may give up when it cannot reach a given number."""
    speeds: dict[Plan, float] = {}
    for family in families:
        highest = 0.0
        for plan in family:
            speeds[plan] = measure(plan, HOPELESS * max(speeds.values(), default=0.0))
            highest = max(highest, speeds[plan])
            if speeds[plan] < HOPEFUL * highest:
                break
    hopeful = [plan for plan in speeds if speeds[plan] >= HOPEFUL * max(speeds.values())]
    if len(hopeful) == 1:
        return hopeful[0]
    return max(hopeful, key=lambda plan: speeds[plan] + measure(plan, 0.0))
