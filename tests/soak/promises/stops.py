"""P7: started and stopped under load, over and over: what runs may end, what is too long is told so, nothing stays."""

import asyncio
import random
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
import uvloop

from tests.bench.figures import Row, at_most, seconds
from tests.soak import rows
from tests.soak.client import Client
from tests.soak.endings import read
from tests.soak.load import Question, ask, tagged
from tests.soak.setting import Setting
from tests.soak.tally import Tally
from tests.soak.watched import Watched, echo, watching

DRAIN_S, STEP_S = 2, 0.02
LONG = Question("long", "for ever " * 400, "for ever " * 400, 3_600, streamed=True)
HOW = (
    "Each cycle starts a server with three echo models, one of them in a process of its own, has six requests of "
    "about a second and two of more than a minute under way, whole and streamed, and sends SIGTERM. The short ones "
    f"have to end as if nothing had happened; the long ones with `shutting_down` when `drain_timeout_s`, {DRAIN_S} "
    "here, is over. Readiness is asked every 10 ms from the signal on, with a connection each: it is gone when none "
    "is taken or 503 comes."
)


@dataclass(slots=True)
class _Seen:
    """Of all cycles."""

    ready_s: list[float] = field(default_factory=list)
    unready_s: list[float] = field(default_factory=list)
    exit_s: list[float] = field(default_factory=list)
    unclean: list[int] = field(default_factory=list)
    orphans: int = 0
    ports_taken: int = 0
    told: int = 0
    """Long requests that were told why they ended."""


def measure(setting: Setting) -> list[Row]:
    cycles = setting.pick(2, 20, 100)
    seen, tally, chance = _Seen(), Tally(), random.Random(7)
    tables = [
        echo("short", f"delay_s = {STEP_S}", workers=2, default=True),
        echo("long", f"delay_s = {STEP_S}"),
        echo("isolated", f"delay_s = {STEP_S}", isolation="process"),
    ]
    for cycle in range(cycles):
        setting.say(f"P7: cycle {cycle + 1} of {cycles}")
        begun = time.monotonic()
        with watching(setting.scratch, *tables) as watched:
            seen.ready_s.append(time.monotonic() - begun)
            uvloop.run(_stop(watched, seen, tally, chance))
    return [
        rows.time(setting, "from the command to ready, longest", max(seen.ready_s), 2),
        Row(
            what="exit codes other than 0",
            value=len(seen.unclean),
            shown=f"{len(seen.unclean)} of {cycles}",
            bar=at_most(0),
            beside=(", ".join(map(str, seen.unclean)),),
        ),
        Row(what="processes left behind", value=seen.orphans, shown=str(seen.orphans), bar=at_most(0)),
        Row(what="ports not free", value=seen.ports_taken, shown=f"{seen.ports_taken} of {cycles}", bar=at_most(0)),
        rows.time(setting, "not ready any more, longest", max(seen.unready_s), 0.25, "after the signal"),
        rows.time(setting, "exit, longest", max(seen.exit_s), DRAIN_S + 2, f"after the signal; {_spread(seen.exit_s)}"),
        *rows.endings(tally),
        Row(
            what="long requests not told of the end",
            value=2 * cycles - seen.told,
            shown=f"{2 * cycles - seen.told} of {2 * cycles}",
            bar=at_most(0),
        ),
    ]


async def _stop(watched: Watched, seen: _Seen, tally: Tally, chance: random.Random) -> None:
    children = watched.process.children(recursive=True)
    questions = [
        tagged(("short", "isolated")[number % 2], number, chance, streamed=number < 4, most=50) for number in range(6)
    ]
    asked = [asyncio.create_task(ask(Client(watched.port), question, tally)) for question in questions]
    whole = Question("long", LONG.prompt, LONG.expected, LONG.max_tokens, streamed=False)
    long = [asyncio.create_task(Client(watched.port).ask(question.request())) for question in (LONG, whole)]
    await asyncio.sleep(0.4)
    begun = time.monotonic()
    watched.process.send_signal(signal.SIGTERM)
    seen.unready_s.append(await _until_unready(watched) - begun)
    await asyncio.gather(*asked)
    endings = [read(reply) for reply in await asyncio.gather(*long)]
    seen.told += sum(ending.code == "shutting_down" and ending.problem is None for ending in endings)
    code = await asyncio.to_thread(watched.server.process.wait, 20)
    seen.exit_s.append(time.monotonic() - begun)
    seen.unclean += [code] if code else []
    _, alive = psutil.wait_procs(children, timeout=0.5)
    seen.orphans += len(alive)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            again.bind(("127.0.0.1", watched.port))
        except OSError:
            seen.ports_taken += 1


async def _until_unready(watched: Watched) -> float:
    while True:
        client = Client(watched.port)
        with suppress(OSError):
            reply = await client.ask(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n", timeout_s=5)
            if reply.status != 200:
                return time.monotonic()
        client.close()
        await asyncio.sleep(0.01)


def _spread(values: list[float]) -> str:
    return f"{seconds(min(values))} to {seconds(max(values))}"
