"""P2: clients that leave at every stage, by FIN and by RST, and lines that are bad: nothing is kept, nobody's text is
another's."""

import random
from time import perf_counter

import uvloop

from tests.bench.figures import Row, at_least, at_most
from tests.soak import rows
from tests.soak.lines import ask_in_the_wild
from tests.soak.load import tagged
from tests.soak.setting import Setting
from tests.soak.tally import Tally
from tests.soak.watched import Watched, echo, watching

CLIENTS = 64
HOW = (
    "64 clients of the echo engine, each with texts of its own; 6 of 10 requests are streams. 30 % leave: in the "
    "head, in the body, while they wait, or while they read, half by RST. One request in ten goes through the fault "
    "proxy, by one of its eight toxics. What a client had read when it left is held against its text, too. Memory "
    "counts from after the first 500."
)


def measure(setting: Setting) -> list[Row]:
    with watching(setting.scratch, echo("echo", "delay_s = 0.002", workers=2, max_queue=256)) as watched:
        return uvloop.run(_measure(setting, watched))


async def _measure(setting: Setting, watched: Watched) -> list[Row]:
    count = setting.pick(600, 10_000, 10_000)
    setting.say(f"P2: {count:,} requests, of which 30 % are left")
    warm, tally = Tally(), Tally()
    await _load(watched, warm, setting.pick(200, 500, 500), seed=0)
    await watched.freed_after()
    before = watched.at_rest()
    begun = perf_counter()
    await _load(watched, tally, count, seed=1)
    took = perf_counter() - begun
    freed = await watched.freed_after()
    after = watched.at_rest(before)
    grown = 100 * (after.rss / before.rss - 1)
    return [
        *rows.endings(tally),
        rows.time(setting, "all places free after the last", freed, 1.0),
        *rows.held(before, after),
        Row(
            what="memory grown",
            value=grown,
            shown=f"{grown:+.1f} %",
            bar=at_most(setting.pick(15, 5, 5)),
            beside=(f"{before.mb:.0f} MB, then {after.mb:.0f} MB",),
        ),
        Row(
            what="requests a second",
            value=count / took,
            shown=f"{count / took:,.0f}",
            bar=setting.at_least_a_second(100),
        ),
        Row(what="answers that came whole", value=tally.exact, shown=f"{tally.exact:,}", bar=at_least(count // 2)),
    ]


async def _load(watched: Watched, tally: Tally, count: int, seed: int) -> None:
    chance = random.Random(seed)
    await ask_in_the_wild(
        watched.port,
        CLIENTS,
        range(count),
        lambda number: (tagged("echo", number, chance), tally),
        chance,
        leaves=0.3,
    )
