"""Requests -> a loaded server -> a `Level`. Two ways to load: clients that wait for their answers, and arrivals at a
rate that wait for nothing. Called by `run.py`, `tune.py` and the repository's own benchmark.

Requests are JSON bodies, encoded before the clock starts; warming up is the caller's.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from time import perf_counter, process_time
from typing import Any

from alcove.bench.answers import outcome
from alcove.bench.http import Connection, Reply
from alcove.bench.measured import Level, Load
from alcove.bench.server import Server

Body = Mapping[str, Any]
TIMEOUT_S = 300.0


async def closed_loop(
    server: Server,
    requests: Sequence[Body],
    *,
    clients: int,
    timeout_s: float = TIMEOUT_S,
    on_answer: Callable[[], None] | None = None,
) -> Level:
    """So many clients at a time, each of which takes the next request as soon as it has its answer.

    `on_answer` is called at each answer or failure, on the clock: it should be light.
    """
    run = _Run(server, requests, timeout_s, on_answer)
    waiting = iter(range(len(requests)))

    async def client() -> None:
        connection = Connection(server)
        try:
            for number in waiting:
                await run.ask(number, connection, perf_counter())
        finally:
            connection.close()

    return await run.level([client() for _ in range(min(clients, len(requests)))], Load(clients=clients))


async def poisson(
    server: Server,
    requests: Sequence[Body],
    *,
    rate: float,
    seed: int = 0,
    timeout_s: float = TIMEOUT_S,
    on_answer: Callable[[], None] | None = None,
) -> Level:
    """Requests that arrive independently of each other and of the answers, so many a second on average.

    A request counts from its arrival, which `seed` decides, so that this client's own lateness is part of its latency.
    """
    run = _Run(server, requests, timeout_s, on_answer)
    idle: list[Connection] = []

    async def one(number: int, due: float) -> None:
        connection = idle.pop() if idle else Connection(server)
        await run.ask(number, connection, due)
        idle.append(connection)

    async def arrive() -> None:
        started = perf_counter()
        async with asyncio.TaskGroup() as sent:
            for number, arrival in enumerate(arrivals(len(requests), rate, seed)):
                while (wait := started + arrival - perf_counter()) > 0:  # noqa: ASYNC110 - a time is awaited, no state
                    await asyncio.sleep(wait)
                sent.create_task(one(number, started + arrival))

    try:
        return await run.level([arrive()], Load(rate=rate))
    finally:
        for connection in idle:
            connection.close()


def arrivals(count: int, rate: float, seed: int) -> list[float]:
    """Times of so many Poisson arrivals, in seconds from the beginning; the same for the same seed."""
    draw = random.Random(seed)  # noqa: S311 - not a secret
    times = []
    now = 0.0
    for _ in range(count):
        now += draw.expovariate(rate)
        times.append(now)
    return times


class _Run:
    """One level in the making: prepared requests, and what came back for each."""

    def __init__(
        self, server: Server, requests: Sequence[Body], timeout_s: float, on_answer: Callable[[], None] | None
    ) -> None:
        self._prepared = [server.post(body) for body in requests]
        self._streamed = [bool(body.get("stream")) for body in requests]
        self._timeout_s = timeout_s
        self._on_answer = on_answer
        self._replies: list[tuple[Reply, float, float]] = [(Reply(error="not sent"), 0.0, 0.0)] * len(requests)

    async def ask(self, number: int, connection: Connection, due: float) -> None:
        late = perf_counter() - due
        reply = await connection.ask(self._prepared[number], self._timeout_s)
        self._replies[number] = (reply, due, late)
        if self._on_answer is not None:
            self._on_answer()

    async def level(self, work: Sequence[Coroutine[Any, Any, None]], load: Load) -> Level:
        started, cpu_started = perf_counter(), process_time()
        async with asyncio.TaskGroup() as running:
            for part in work:
                running.create_task(part)
        loaded = process_time()
        outcomes = tuple(
            outcome(reply, due, started=started, streamed=streamed, lateness_s=late)
            for (reply, due, late), streamed in zip(self._replies, self._streamed, strict=True)
        )
        return Level(
            load=load,
            outcomes=outcomes,
            load_cpu_s=loaded - cpu_started,
            reading_cpu_s=process_time() - loaded,
        )
