"""P4: ten times as much as can be served: who is accepted is served in time, all others are told so at once."""

import asyncio
import random
from time import perf_counter

import uvloop

from tests.bench.figures import Row, at_least, at_most, seconds
from tests.soak import rows
from tests.soak.client import Client, Reply
from tests.soak.load import Fixed, ask, by_clients, percentile, tagged
from tests.soak.setting import Setting
from tests.soak.tally import Tally
from tests.soak.watched import Watched, echo, watching

BATCH, QUEUE, STEP_S, TOKENS = 4, 16, 0.01, 20
HOW = (
    "Echo engine with one worker, batches of 4 answers of 20 tokens, steps of 10 ms, and room for 16 requests that "
    "wait. Streams arrive at random, ten times as many as 4 clients are served when they ask in turn. The bound of "
    "the wait for a first token is that of a full queue: five batches, each as long as those 4 clients found it, and "
    "a tenth for the company that a worker waits for. Full speed is that of the 4 clients, begun one second after "
    "the last arrival that was served."
)


def measure(setting: Setting) -> list[Row]:
    table = echo("echo", f"delay_s = {STEP_S}", workers=1, max_batch_size=BATCH, max_queue=QUEUE)
    with watching(setting.scratch, table) as watched:
        return uvloop.run(_measure(setting, watched))


async def _measure(setting: Setting, watched: Watched) -> list[Row]:
    lasts_s = setting.pick(2.0, 30.0, 60.0)
    chance = random.Random(4)
    tally = Tally(errors=("server_is_overloaded",))
    rounds = setting.pick(5, 10, 20)
    capacity = await _rate(watched, tally, rounds)
    batch_s = BATCH / capacity
    setting.say(f"P4: {10 * capacity:.0f} requests a second for {lasts_s:g} s, where {capacity:.0f} can be served")
    replies: list[Reply] = []
    async with asyncio.TaskGroup() as arrivals:
        over = perf_counter() + lasts_s
        while perf_counter() < over:
            await asyncio.sleep(chance.expovariate(10 * capacity))
            arrivals.create_task(_arrive(watched, tally, chance, replies))
    await asyncio.sleep(1.0)
    afterwards = await _rate(watched, tally, rounds)
    rejected = [reply for reply in replies if reply.status == 503]
    told = [reply.ended_at - reply.sent_at for reply in rejected]
    firsts = [reply.times[0] - reply.sent_at for reply in replies if reply.status == 200]
    hinted = sum(0 < int(reply.headers.get("retry-after", 0)) <= 120 for reply in rejected)
    bound = (QUEUE / BATCH + 1) * 1.1 * batch_s
    first = percentile(firsts, 0.95)
    return [
        *rows.endings(tally),
        Row(
            what="rejected without Retry-After",
            value=len(rejected) - hinted,
            shown=f"{len(rejected) - hinted} of {len(rejected):,}",
            bar=at_most(0),
        ),
        rows.time(setting, "told that it is too much, p99", percentile(told, 0.99), 0.05, "from the request's sending"),
        Row(
            what="first token of the accepted, p95, against the bound",
            value=first / bound,
            shown=f"{first / bound:.2f}",
            bar=setting.at_most_s(1),
            beside=(f"{seconds(first)} of {seconds(bound)}; {len(firsts):,} accepted",),
        ),
        Row(
            what="speed one second later, against that before",
            value=afterwards / capacity,
            shown=f"{afterwards / capacity:.2f}",
            bar=at_least(setting.pick(0.5, 0.9, 0.9)),
            beside=(f"{afterwards:.1f} and {capacity:.1f} requests a second",),
        ),
    ]


async def _arrive(watched: Watched, tally: Tally, chance: random.Random, replies: list[Reply]) -> None:
    client = Client(watched.port)
    question = tagged("echo", len(replies), chance, most=TOKENS, streamed=True)
    reply, _ = await ask(client, question, tally)
    replies.append(reply)
    client.close()


async def _rate(watched: Watched, tally: Tally, rounds: int) -> float:
    """Requests a second of as many clients as a batch has places."""

    async def one(client: Client, number: int) -> None:
        await ask(client, tagged("echo", number, Fixed(), most=TOKENS, streamed=True), tally)

    begun = perf_counter()
    await by_clients(watched.port, BATCH, range(BATCH * rounds), one)
    return BATCH * rounds / (perf_counter() - begun)
