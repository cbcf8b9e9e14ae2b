"""A model -> how it does with each sensible pair of workers and threads, and which pair to set. Called by
`cli/bench.py`. Each pair has a server of its own.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from alcove.bench.load import closed_loop
from alcove.bench.measured import Level, Load
from alcove.bench.plan import WARM_UP, Plan
from alcove.bench.prompts import pool
from alcove.bench.run import Difference, Watcher, differing, first_model, load_with
from alcove.bench.server import Server
from alcove.bench.target import serving
from alcove.machine import usable_cores

MAY_LOSE = 0.1
"""Part of a client's speed alone that may be given up for that of many."""

Runner = Callable[[Coroutine[Any, Any, "Trial"]], "Trial"]
"""`asyncio.run`, or uvloop's."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A pair that was tried."""

    workers: int
    threads: int
    one: Level
    """Measured with one client."""
    many: Level
    """Measured with many clients."""
    differences: tuple[Difference, ...]
    """Texts of many clients that are not those of one."""

    @property
    def sound(self) -> bool:
        """Whether every request was answered, and with the right text."""
        return not (self.differences or self.one.failures or self.many.failures)


@dataclass(frozen=True, slots=True)
class Choice:
    """The best pair for one client and for many."""

    one: Trial
    many: Trial

    @property
    def agrees(self) -> bool:
        """Whether the best for many clients is good enough for one, too."""
        return self.many.one.tokens_per_s >= (1 - MAY_LOSE) * self.one.one.tokens_per_s


def pairs(cores: int) -> list[tuple[int, int]]:
    """Workers and threads that use all cores, or half of them."""
    found = set()
    for workers in range(1, cores + 1):
        if cores % workers == 0 or workers.bit_count() == 1:
            threads = cores // workers
            found |= {(workers, threads), (workers, max(threads // 2, 1))}
    return sorted(found)


def tune(what: str, plan: Plan, watcher: Watcher, run: Runner) -> list[Trial]:
    """Serve and load a model with every pair that fits the cores of this process: with one client, and with as many
    as the plan's largest load has.

    Raises `ModelLoadError` when the model does not start.
    """
    trials = []
    for workers, threads in pairs(usable_cores()):
        watcher.says(f"workers = {workers}, threads = {threads}")
        with serving(what, {"ALCOVE_WORKERS": str(workers), "ALCOVE_THREADS": str(threads)}) as server:
            trials.append(run(_try(server, plan, watcher, workers, threads)))
    return trials


def choose(trials: Sequence[Trial]) -> Choice:
    """The pairs with the most tokens a second."""
    return Choice(
        one=max(trials, key=lambda trial: trial.one.tokens_per_s),
        many=max(trials, key=lambda trial: trial.many.tokens_per_s),
    )


async def _try(server: Server, plan: Plan, watcher: Watcher, workers: int, threads: int) -> Trial:
    """One client, then many: what one is answered is what the many should be."""
    alone, load = Load(clients=1), max(plan.loads, key=lambda load: load.clients or 0)
    requests = pool(plan, plan.model or await first_model(server), plan.count(alone))
    await closed_loop(server, requests[:WARM_UP], clients=1, timeout_s=plan.timeout_s)
    one = await load_with(server, alone, requests, plan, watcher)
    many = await load_with(server, load, list(islice(cycle(requests), plan.count(load))), plan, watcher)
    found = differing(requests, one, many, 1) if plan.check else []
    return Trial(workers, threads, one, many, tuple(found))
