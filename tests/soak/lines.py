"""How clients ask in the wild: some leave before they have their answer, and a tenth have a bad line."""

import asyncio
import random
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack

from tests.soak.client import STAGES, Client, Leaving
from tests.soak.load import Question, ask, by_clients
from tests.soak.proxy import TOXICS, through
from tests.soak.tally import Tally

BAD = 0.1
"""Part of the requests that go through the fault proxy, by any of its toxics."""
LONGEST_S = 0.06
"""How long those stay at the most who leave."""


async def ask_in_the_wild(
    port: int,
    clients: int,
    numbers: Iterable[int],
    question: Callable[[int], tuple[Question, Tally]],
    chance: random.Random,
    *,
    leaves: float,
    pause_s: float = 0.0,
) -> None:
    """So many clients ask the questions of these numbers, and count how each ended; `leaves` is the part that
    they leave, half by RST, and `pause_s` how long a client rests between two."""
    async with AsyncExitStack() as proxies:
        ports = {name: await proxies.enter_async_context(through(port, toxic)) for name, toxic in TOXICS.items()}

        async def one(client: Client, number: int) -> None:
            asked, tally = question(number)
            leaving = _leaving(chance) if chance.random() < leaves else None
            if chance.random() >= BAD:
                await ask(client, asked, tally, leaves=leaving)
            else:
                name = chance.choice(list(ports))
                beyond = Client(ports[name])
                await ask(beyond, asked, tally, leaves=leaving, lossy=TOXICS[name].lossy)
                beyond.close()
            await asyncio.sleep(pause_s)

        await by_clients(port, clients, numbers, one)


def _leaving(chance: random.Random) -> Leaving:
    return Leaving(chance.choice(STAGES), chance.random() * LONGEST_S, chance.random() < 0.5)
