"""A server and a plan -> a level of figures for each load, and the texts that were wrong. Called by `cli/bench.py`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Protocol

import msgspec

from alcove.bench.http import Connection
from alcove.bench.load import closed_loop, poisson
from alcove.bench.measured import Level, Load
from alcove.bench.plan import WARM_UP, Plan
from alcove.bench.prompts import pool
from alcove.bench.server import Server
from alcove.errors import ModelNotFound


class Watcher(Protocol):
    """Told how a run goes on, so that a person sees it."""

    def begins(self, what: str, requests: int) -> Callable[[], None]:
        """A part of the run begins; what is returned is called at each answer."""

    def ended(self, what: str, level: Level) -> None:
        """The part is over."""

    def says(self, line: str) -> None:
        """Something else that a person who waits wants to know."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A text under load that is not the one which the same request got alone."""

    level: int
    """Which of the levels, from 0."""
    request: dict[str, Any]
    alone: str
    under_load: str


@dataclass(frozen=True, slots=True)
class Measured:
    """All that a run has found."""

    model: str
    alone: Level | None
    """The distinct requests, one after the other; None when texts are not checked."""
    levels: tuple[Level, ...]
    differences: tuple[Difference, ...]

    def wrong(self, level: Level) -> int | None:
        """How many texts of a level differ; None when texts are not checked."""
        return None if self.alone is None else sum(self.levels[found.level] is level for found in self.differences)

    @property
    def sound(self) -> bool:
        """Whether every request was answered, and with the right text."""
        levels = (*self.levels, *((self.alone,) if self.alone else ()))
        return not self.differences and not any(level.failures for level in levels)


async def measure(server: Server, plan: Plan, watcher: Watcher) -> Measured:
    """Ask each distinct request alone (or a few, to warm up), then load the server level by level.

    Raises `ModelNotFound` when the server does not say what it serves and the plan does not, either.
    """
    model = plan.model or await first_model(server)
    requests = pool(plan, model, plan.distinct())
    supply = cycle(requests)
    alone = await ask_alone(server, requests if plan.check else list(islice(supply, WARM_UP)), plan, watcher)
    levels = []
    differences: list[Difference] = []
    for number, load in enumerate(plan.loads):
        sent = list(islice(cycle(requests) if plan.check else supply, plan.count(load)))
        levels.append(level := await load_with(server, load, sent, plan, watcher, plan.seed + number))
        if plan.check:
            differences += differing(requests, alone, level, number)
    return Measured(model, alone if plan.check else None, tuple(levels), tuple(differences))


async def ask_alone(server: Server, requests: Sequence[dict[str, Any]], plan: Plan, watcher: Watcher) -> Level:
    """Each request alone, one after the other; what its text should be."""
    what = "each request alone" if plan.check else "warming up"
    on_answer = watcher.begins(what, len(requests))
    level = await closed_loop(server, requests, clients=1, timeout_s=plan.timeout_s, on_answer=on_answer)
    watcher.ended(what, level)
    return level


async def load_with(
    server: Server, load: Load, requests: Sequence[dict[str, Any]], plan: Plan, watcher: Watcher, seed: int = 0
) -> Level:
    """One level."""
    on_answer = watcher.begins(load.name, len(requests))
    if load.clients is not None:
        level = await closed_loop(server, requests, clients=load.clients, timeout_s=plan.timeout_s, on_answer=on_answer)
    else:
        assert load.rate is not None
        level = await poisson(
            server, requests, rate=load.rate, seed=seed, timeout_s=plan.timeout_s, on_answer=on_answer
        )
    watcher.ended(load.name, level)
    return level


def differing(requests: Sequence[dict[str, Any]], alone: Level, level: Level, number: int) -> list[Difference]:
    """The texts of a level, by its number, whose requests are those in turns, that are not what they were alone."""
    return [
        Difference(number, request, expected.text, outcome.text)
        for request, expected, outcome in zip(cycle(requests), cycle(alone.outcomes), level.outcomes, strict=False)
        if expected.error is None and outcome.error is None and expected.text != outcome.text
    ]


async def first_model(server: Server) -> str:
    """The first name that `/v1/models` tells. Raises `ModelNotFound`, which says why there is none."""
    connection = Connection(server)
    reply = await connection.ask(server.get("/models"), timeout_s=30)
    connection.close()
    where = f"http{'s' * (server.tls is not None)}://{server.host}:{server.port}{server.path}/models"
    if reply.error is not None or reply.status != 200:
        remedy = "; --key-env names the variable that holds its key" if reply.status == 401 else ""
        raise ModelNotFound(f"{where}: {reply.error or f'status {reply.status}'}{remedy}")
    try:
        return str(msgspec.json.decode(b"".join(reply.pieces))["data"][0]["id"])
    except (msgspec.MsgspecError, LookupError, TypeError):
        raise ModelNotFound(f"{where}: names no model; say which with --model") from None
