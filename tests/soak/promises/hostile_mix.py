"""P9: twenty streams beside those who mean harm: they are exact, and flow as if they were alone."""

import asyncio
import random
from collections import Counter

import uvloop

from tests.bench.figures import Row, at_least, at_most, seconds
from tests.soak import rows
from tests.soak.client import Client
from tests.soak.hostile import ALL, Hostile
from tests.soak.load import ask, percentile, tagged
from tests.soak.loop_lag import LoopLag
from tests.soak.setting import Setting
from tests.soak.tally import Tally
from tests.soak.watched import Watched, echo, watching

STREAMS, SENDERS, HELD = 20, 4, 60
HOW = (
    f"{STREAMS} streams of the echo engine, 50 tokens a second each, first alone and then beside {SENDERS} clients "
    f"that send one of {len(ALL)} hostile requests after the other, 20 ms apart (JSON bombs of 2 MB, wrong types, "
    f"broken and smuggled HTTP, heads of a megabyte, foreign hosts, path tricks), and {HELD} connections with half a "
    "request and a byte a second. Servers' faults are answers of 500 and more (503 apart) and errors not in OpenAI's "
    "shape. The event loop's lag is what the server itself tells in `/metrics`, as a bound of its histogram: so much, "
    "or less."
)


def measure(setting: Setting) -> list[Row]:
    table = echo("echo", "delay_s = 0.02", workers=2, max_batch_size=STREAMS)
    with watching(setting.scratch, table) as watched:
        return uvloop.run(_measure(setting, watched))


async def _measure(setting: Setting, watched: Watched) -> list[Row]:
    alone_s, beside_s = setting.pick((1.5, 3.0), (10.0, 45.0), (30.0, 270.0))
    chance, tally = random.Random(9), Tally()
    setting.say(f"P9: {STREAMS} streams, alone")
    alone = await _gaps(watched, alone_s, tally, chance)
    before, timely = watched.at_rest(), LoopLag.of(watched.server)
    setting.say(f"P9: {STREAMS} streams beside hostile clients")
    over = asyncio.Event()
    hostile = [Hostile(watched.port, seed) for seed in range(SENDERS)]
    async with asyncio.TaskGroup() as group:
        for one in hostile:
            group.create_task(_harm(one, over))
        for _ in range(HELD):
            group.create_task(hostile[0].hold(over))
        gaps = await _gaps(watched, beside_s, tally, chance)
        over.set()
    lag = LoopLag.of(watched.server).since(timely)
    after = watched.at_rest(before, within_s=15.0)
    judged = [one.judged() for one in hostile]
    statuses = sum((counts for counts, _ in judged), Counter[int]())
    faults = [fault for _, some in judged for fault in some]
    idle, busy = percentile(alone, 0.99), percentile(gaps, 0.99)
    grown = (after.rss - before.rss) / 1e6
    return [
        *rows.endings(tally),
        Row(
            what="time between tokens, p99, against that alone",
            value=busy / idle,
            shown=f"{busy / idle:.1f}",
            bar=setting.at_most_s(3),
            beside=(f"{seconds(busy)} and {seconds(idle)}; longest {seconds(max(gaps))} and {seconds(max(alone))}",),
        ),
        Row(
            what="the server's faults",
            value=len(faults),
            shown=f"{len(faults)} of {statuses.total():,}",
            bar=at_most(0),
            beside=(faults[0][:200] if faults else _told(statuses),),
        ),
        Row(what="hostile requests", value=statuses.total(), shown=f"{statuses.total():,}", bar=at_least(50)),
        rows.time(setting, "lag of the event loop, p99", lag.below(0.99), 0.05, f"of {lag.seen:,} looks at it"),
        rows.time(setting, "lag of the event loop, most", lag.below(1.0), 0.35),
        *rows.held(before, after),
        Row(
            what="memory grown",
            value=grown,
            shown=f"{grown:+.0f} MB",
            beside=(f"{before.mb:.0f} MB, then {after.mb:.0f} MB",),
        ),
    ]


async def _harm(one: Hostile, over: asyncio.Event) -> None:
    while not over.is_set():
        await one.send_one()
        await asyncio.sleep(0.02)


async def _gaps(watched: Watched, lasts_s: float, tally: Tally, chance: random.Random) -> list[float]:
    """Times between the chunks of the streams' answers, for so long."""
    found: list[float] = []
    loop = asyncio.get_running_loop()
    end = loop.time() + lasts_s

    async def stream(number: int) -> None:
        client = Client(watched.port)
        while loop.time() < end:
            reply, _ = await ask(client, tagged("echo", number, chance, most=60, streamed=True), tally)
            found.extend(later - earlier for earlier, later in zip(reply.times, reply.times[1:], strict=False))
        client.close()

    await asyncio.gather(*(stream(number) for number in range(STREAMS)))
    return found


def _told(statuses: Counter[int]) -> str:
    return ", ".join(f"{times:,} x {status or 'closed'}" for status, times in sorted(statuses.items()))
