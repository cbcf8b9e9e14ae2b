"""P8: everything at once for a long time: memory, files, threads and tasks stay what they were."""

import asyncio
import random
import time
from collections.abc import Sequence
from itertools import count, takewhile

import uvloop

from tests.bench.figures import Row, at_least, at_most
from tests.soak import rows
from tests.soak.hostile import Hostile
from tests.soak.lines import ask_in_the_wild
from tests.soak.load import Fixed, Question, learn, tagged
from tests.soak.promises.chaos import FAULT_AT, FAULTS, MAX_TOKENS, QUESTIONS
from tests.soak.setting import Setting
from tests.soak.tally import Tally
from tests.soak.watched import Held, Watched, echo, watching

CLIENTS, LONG_S = 12, 600.0
HOW = (
    "12 clients on four models: the echo engine, one that raises for 5 % of its requests, one in a process of its "
    "own that is killed, and a shipped model on CTranslate2 that is read anew. A fifth of the clients leave, a tenth "
    "go through the fault proxy, and two more send hostile requests. Memory is that of the server's process, looked "
    "at each second; its growth is the slope of a line through all that was seen after the first third (the first "
    "ten minutes of an hour), over ten minutes or, in a shorter run, over what was looked at."
)


def measure(setting: Setting) -> list[Row]:
    fault = f'delay_s = 0.002, fail_after = {FAULT_AT}, fault = "error"'
    tables = [
        echo("echo", "delay_s = 0.002", workers=2),
        echo("raising", fault),
        echo("killed", "delay_s = 0.002", isolation="process"),
        '[[model]]\nname = "reloaded"\nsource = "builtin:alcove-seq2seq"\nthreads = 1\n',
    ]
    with watching(setting.scratch, *tables) as watched:
        return uvloop.run(_Soak(setting, watched).measure())


class _Soak:
    def __init__(self, setting: Setting, watched: Watched) -> None:
        self._setting, self._watched = setting, watched
        self._chance = random.Random(8)
        self._sound, self._struck = Tally(), Tally(errors=FAULTS)
        self._known: dict[str, str] = {}
        self._over = asyncio.Event()
        self._seen: list[tuple[float, Held]] = []

    async def measure(self) -> list[Row]:
        setting, watched = self._setting, self._watched
        lasts_s = setting.pick(5.0, setting.soak_s, setting.soak_s)
        self._known = await learn(watched.port, "reloaded", QUESTIONS, MAX_TOKENS)
        before = watched.at_rest()
        setting.say(f"P8: {lasts_s / 60:.1f} minutes of everything")
        hostile = [Hostile(watched.port, seed) for seed in range(2)]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._load())
            group.create_task(self._strike())
            for one in hostile:
                group.create_task(self._harm(one))
            begun = time.monotonic()
            while (passed := time.monotonic() - begun) < lasts_s:
                await asyncio.sleep(1)
                self._seen.append((passed, await asyncio.to_thread(watched.held)))
            self._over.set()
        freed = await watched.freed_after()
        after = watched.at_rest(before, within_s=15.0)
        settled = [one for one in self._seen if one[0] >= min(LONG_S, lasts_s / 3)]
        span_s = min(LONG_S, settled[-1][0] - settled[0][0])
        grown = _slope([(at, held.mb) for at, held in settled]) * span_s
        threads = max(held.threads for _, held in settled[: max(len(settled) // 4, 1)])
        judged = [one.judged() for one in hostile]
        faults = [fault for _, some in judged for fault in some]
        total = self._sound.requests + self._struck.requests
        return [
            *rows.endings(self._sound, "; sound models"),
            *rows.endings(self._struck, "; models that are struck"),
            Row(
                what=f"memory grown in {span_s / 60:.1f} minutes",
                value=grown,
                shown=f"{grown:+.2f} MB",
                bar=at_most(setting.pick(50, 1, 1)),
                beside=(f"{before.mb:.0f} MB before, {settled[0][1].mb:.0f} then, {after.mb:.0f} at the end",),
            ),
            *rows.held(before, after),
            Row(
                what="threads kept",
                value=max(after.threads - threads, 0),
                shown=f"{after.threads - threads:+d}",
                bar=at_most(setting.pick(4, 0, 0)),
                beside=(f"{threads} when it was warm, {after.threads} at the end",),
            ),
            rows.time(setting, "all places free after the last", freed, 1.0),
            Row(
                what="faults at hostile requests",
                value=len(faults),
                shown=f"{len(faults)} of {sum(counts.total() for counts, _ in judged):,}",
                bar=at_most(0),
                beside=(faults[0][:200] if faults else "",),
            ),
            Row(what="requests", value=total, shown=f"{total:,}", bar=at_least(100)),
        ]

    async def _load(self) -> None:
        numbers = takewhile(lambda _: not self._over.is_set(), count())
        port, chance = self._watched.port, self._chance
        await ask_in_the_wild(port, CLIENTS, numbers, self._question, chance, leaves=0.2, pause_s=0.05)

    def _question(self, number: int) -> tuple[Question, Tally]:
        chance = self._chance
        kind = chance.random()
        if kind < 0.25:
            prompt = chance.choice(QUESTIONS)
            return Question("reloaded", prompt, self._known[prompt], MAX_TOKENS, chance.random() < 0.5), self._sound
        if kind < 0.5:
            return tagged("killed", number, chance), self._struck
        if kind < 0.75:
            if chance.random() < 0.05:
                return tagged("raising", number, Fixed(FAULT_AT + 20)), self._struck
            return tagged("raising", number, chance, most=FAULT_AT), self._sound
        return tagged("echo", number, chance), self._sound

    async def _strike(self) -> None:
        """A kill a minute and more apart, so that each is the first; a reload each half minute."""
        turn = 0
        while not self._over.is_set():
            if turn % 5 == 2:
                for child in self._watched.process.children():
                    child.kill()
            if turn % 2 == 1:
                await asyncio.to_thread(self._watched.manage, "reloaded", "reload")
            turn += 1
            for _ in range(150):
                if not self._over.is_set():
                    await asyncio.sleep(0.1)

    async def _harm(self, one: Hostile) -> None:
        while not self._over.is_set():
            await one.send_one()
            await asyncio.sleep(0.1)


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line that lies nearest to the points."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
