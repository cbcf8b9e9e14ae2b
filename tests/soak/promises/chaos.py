"""P5: engines that raise and hang, children that are killed, models that are read anew, clients that leave and lines
that are bad, all at once: each request ends once, with its text or an error as it should be."""

import asyncio
import random
import time
from itertools import count, takewhile

import psutil
import uvloop

from tests.bench.figures import Row, at_least, at_most
from tests.soak import rows
from tests.soak.client import Client
from tests.soak.lines import ask_in_the_wild
from tests.soak.load import Fixed, Question, ask, learn, tagged
from tests.soak.setting import Setting
from tests.soak.tally import Tally
from tests.soak.watched import Watched, echo, watching

CLIENTS, FAULT_AT, MAX_TOKENS = 24, 40, 16
QUESTIONS = (
    "What's a nice reptile?",
    "What's the first name of the secret agent Bond?",
    "What is the capital of France?",
)
FAULTS = ("internal_error", "model_loading", "model_unavailable", "server_is_overloaded")
HOW = (
    "24 clients, of whom 30 % leave, and one request in ten goes through the fault proxy. Four models: an engine "
    "that raises for 5 % of its requests (the other 95 %, in the same batches, have to be exact); engines in "
    "processes of their own that are killed with SIGKILL; one in a process that hangs (its `stall_timeout_s` is 1); "
    "and a shipped model on CTranslate2 that is read anew while it answers, no request of which may fail. Kills and "
    "hangs come by the clock, not for a part of the requests: five within minutes of each other, and alcove by "
    "design takes a model for broken. Ready again is from the signal, or from the request that hangs, to the next "
    "exact answer."
)


def measure(setting: Setting) -> list[Row]:
    fault = f"delay_s = 0.002, fail_after = {FAULT_AT}"
    # children are told apart by their threads, which this engine does not use
    killed = [(threads, f"killed-{threads}") for threads in range(1, 1 + setting.pick(1, 2, 2))]
    tables = [
        echo("raising", f'{fault}, fault = "error"', workers=2),
        echo("hanging", f'{fault}, fault = "hang"', isolation="process", stall_timeout_s=1, request_timeout_s=20),
        *(echo(name, "delay_s = 0.002", workers=2, isolation="process", threads=threads) for threads, name in killed),
        '[[model]]\nname = "reloaded"\nsource = "builtin:alcove-seq2seq"\nthreads = 1\n',
    ]
    with watching(setting.scratch, *tables) as watched:
        return uvloop.run(_Chaos(setting, watched, killed).measure())


class _Chaos:
    def __init__(self, setting: Setting, watched: Watched, killed: list[tuple[int, str]]) -> None:
        self._setting, self._watched, self._killed = setting, watched, killed
        self._chance = random.Random(5)
        self._sound = Tally()
        """Requests that nothing is done to: none may fail."""
        self._struck = Tally(errors=FAULTS)
        """Requests of models that hang or are killed."""
        self._raised = Tally(errors=("internal_error",))
        """Requests on which the engine raises."""
        self._known: dict[str, str] = {}
        self._over = False
        self._back: dict[str, list[float]] = {"killed": [], "hanging": []}
        self._reloads = 0

    async def measure(self) -> list[Row]:
        setting, watched = self._setting, self._watched
        self._known = await learn(watched.port, "reloaded", QUESTIONS, MAX_TOKENS)
        before = watched.at_rest()
        lasts_s = setting.pick(7.0, 75.0, 600.0)
        setting.say(f"P5: {lasts_s:g} s of faults")
        load = asyncio.create_task(self._load())
        async with asyncio.TaskGroup() as faults:
            end = time.monotonic() + lasts_s
            faults.create_task(self._kill(setting.pick(1, 4, 5), lasts_s))
            faults.create_task(self._hang(setting.pick(1, 3, 5), lasts_s))
            faults.create_task(self._reload(setting.pick(2, 20, 20), lasts_s))
        await asyncio.sleep(max(end - time.monotonic(), 0))
        self._over = True
        await load
        freed = await watched.freed_after()
        after = watched.at_rest(before)
        kills = self._back["killed"]
        longest = max([*kills, *self._back["hanging"]])
        return [
            *rows.endings(self._sound, "; sound models"),
            *rows.endings(self._struck, "; models that hang or are killed"),
            *rows.endings(self._raised, "; engines that raise"),
            Row(
                what="answers that came whole though the engine raises",
                value=self._raised.exact,
                shown=f"{self._raised.exact} of {self._raised.requests:,}",
                bar=at_most(0),
            ),
            rows.time(
                setting,
                "ready again, longest",
                longest,
                5,
                f"{len(kills)} kills, {len(self._back['hanging'])} hangs",
            ),
            Row(
                what="reloads that went well",
                value=self._reloads,
                shown=str(self._reloads),
                bar=at_least(setting.pick(2, 20, 20)),
            ),
            rows.time(setting, "all places free after the last", freed, 1.0),
            *rows.held(before, after),
        ]

    async def _load(self) -> None:
        numbers = takewhile(lambda _: not self._over, count())
        port, chance = self._watched.port, self._chance
        await ask_in_the_wild(port, CLIENTS, numbers, self._question, chance, leaves=0.3, pause_s=0.02)

    def _question(self, number: int) -> tuple[Question, Tally]:
        chance = self._chance
        kind = chance.random()
        if kind < 0.25:
            prompt = chance.choice(QUESTIONS)
            return Question("reloaded", prompt, self._known[prompt], MAX_TOKENS, chance.random() < 0.5), self._sound
        if kind < 0.6:
            if chance.random() < 0.05:
                return tagged("raising", number, Fixed(FAULT_AT + 20)), self._raised
            return tagged("raising", number, chance, most=FAULT_AT), self._sound
        model = "hanging" if kind < 0.75 else chance.choice(self._killed)[1]
        return tagged(model, number, chance, most=FAULT_AT), self._struck

    async def _kill(self, times: int, lasts_s: float) -> None:
        for turn in range(times):
            for threads, name in self._killed:
                (child,) = [one for one in self._watched.process.children() if _threads(one) == threads]
                begun = time.monotonic()
                child.kill()
                self._back["killed"].append(await self._until_back(name, begun))
            if turn + 1 < times:
                await asyncio.sleep(max(lasts_s / times - 2, 0))

    async def _hang(self, times: int, lasts_s: float) -> None:
        await asyncio.sleep(1)
        for turn in range(times):
            begun = time.monotonic()
            client = Client(self._watched.port)
            await ask(client, tagged("hanging", turn, Fixed(FAULT_AT + 20), streamed=True), self._struck)
            client.close()
            self._back["hanging"].append(await self._until_back("hanging", begun))
            await asyncio.sleep(max(lasts_s / times - 3, 0))

    async def _until_back(self, name: str, begun: float) -> float:
        """Seconds from `begun` to the next exact answer."""
        client = Client(self._watched.port)
        while True:
            tally = Tally(errors=FAULTS)
            await ask(client, tagged(name, 0, self._chance, most=12), tally, timeout_s=10)
            if tally.exact:
                client.close()
                return time.monotonic() - begun
            if time.monotonic() - begun > 90:
                return float("inf")
            await asyncio.sleep(0.05)

    async def _reload(self, times: int, lasts_s: float) -> None:
        for _ in range(times):
            answer = await asyncio.to_thread(self._watched.manage, "reloaded", "reload")
            self._reloads += answer.status_code == 200
            await asyncio.sleep(max(lasts_s / times - 1, 0))


def _threads(child: psutil.Process) -> int:
    return int(child.environ().get("OMP_NUM_THREADS", 0))
