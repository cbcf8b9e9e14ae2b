"""P1: a thousand streams that say little, and the server is as quick as without them."""

import asyncio
import random
import resource
from collections.abc import Iterator

import uvloop

from tests.bench.figures import Row, at_most, seconds
from tests.soak import rows
from tests.soak.client import Client
from tests.soak.endings import read
from tests.soak.load import Question, ask, by_clients, percentile, tagged
from tests.soak.probe import probing
from tests.soak.setting import Setting
from tests.soak.tally import Tally
from tests.soak.watched import Watched, echo, watching

HOW = (
    "Echo engine in two batches of a step of 5 s, each with half of the streams, beside 8 clients that ask another "
    "model 50 times a second in all. `/health/live` is asked by a process of its own once the streams are open. At "
    "the end all clients leave at once, and the model's requests under way are counted until there are none."
)


def measure(setting: Setting) -> list[Row]:
    streams, step_s = setting.pick((100, 0.5), (1_000, 5.0), (1_000, 5.0))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit[1], 8192), limit[1]))
    idle = echo(
        "idle", f"delay_s = {step_s}", workers=2, max_queue=2_000, max_batch_size=1_000, max_batch_tokens=10_000_000
    )
    try:
        with watching(setting.scratch, idle, echo("busy", "delay_s = 0.002", workers=2)) as watched:
            return uvloop.run(_measure(setting, watched, streams, step_s))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


async def _measure(setting: Setting, watched: Watched, streams: int, step_s: float) -> list[Row]:
    lasts_s = setting.pick(2.0, 40.0, 170.0)
    chance = random.Random(1)
    setting.say(f"P1: {streams} streams of a token each {step_s:g} s, for {lasts_s:g} s")
    busy, over = Tally(), asyncio.Event()
    await _traffic(watched, busy, chance, 50)  # warm
    before = watched.held()
    clients = [Client(watched.port) for _ in range(streams)]
    # Two of a token each take both workers, so that all others are in the batches that come next.
    firsts = [asyncio.create_task(client.ask(_idle(1))) for client in clients[:2]]
    await asyncio.sleep(0.2 * step_s)
    waiting = [asyncio.create_task(client.ask(_idle(1_000), timeout_s=1_000)) for client in clients[2:]]
    await asyncio.gather(*firsts)
    await asyncio.sleep(1.5 * step_s)  # and now all have a first token
    opened = watched.held()
    traffic = asyncio.create_task(_traffic(watched, busy, chance, None, over))
    with probing(watched.port) as latencies:
        await asyncio.sleep(lasts_s)
        dropped = sum(task.done() for task in waiting)
    over.set()
    await traffic
    for client in clients:
        client.close(reset=True)
    freed = await watched.freed_after("idle")
    after = watched.at_rest(before)
    tally, silent = Tally(), 0
    for reply in await asyncio.gather(*waiting):
        tally.add(read(reply), _TEXT, left=True)
        silent += not reply.pieces
    kilobytes = (opened.rss - before.rss) / streams / 1024
    return [
        Row(
            what="streams dropped",
            value=dropped + silent + len(tally.wrong) + len(tally.unshaped),
            shown=f"{dropped + silent} of {streams:,}",
            bar=at_most(0),
            beside=(str(tally),),
        ),
        Row(
            what="memory a stream",
            value=kilobytes,
            shown=f"{kilobytes:.0f} KiB",
            bar=at_most(64 if streams >= 1_000 else 256),
        ),
        rows.time(
            setting,
            "/health/live, p99",
            percentile(latencies, 0.99),
            0.1,
            f"p50 {seconds(percentile(latencies, 0.5))} of {len(latencies):,}",
        ),
        rows.time(setting, "freed after all left", freed, 1.0),
        *rows.held(before, after),
        *rows.endings(busy),
    ]


_TEXT = "It says a word now and then. " * 4


def _idle(tokens: int) -> bytes:
    return Question("idle", _TEXT, _TEXT, tokens, streamed=True).request()


async def _traffic(
    watched: Watched, tally: Tally, chance: random.Random, count: int | None, over: asyncio.Event | None = None
) -> None:
    """Fifty requests a second: so many, or until it is over."""

    def numbers() -> Iterator[int]:
        number = 0
        while number != count and not (over and over.is_set()):
            yield number
            number += 1

    async def one(client: Client, number: int) -> None:
        await ask(client, tagged("busy", number, chance), tally)
        await asyncio.sleep(8 / 50)

    await by_clients(watched.port, 8, numbers(), one)
