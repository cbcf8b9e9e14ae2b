"""How clients ask in the wild: some leave before they have their answer, and a tenth have a bad line."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from tests.soak.client import STAGES, Client, Leaving
from tests.soak.load import Question, ask
from tests.soak.proxy import TOXICS, through
from tests.soak.tally import Tally

BAD = 0.1
"""Part of the requests that go through the fault proxy, by any of its toxics."""
LONGEST_S = 0.06
"""How long those stay at the most who leave."""


@asynccontextmanager
async def lines(
    port: int, chance: random.Random, leaves: float
) -> AsyncIterator[Callable[[Client, Question, Tally], Awaitable[None]]]:
    """What asks a question so and counts how it ended, as long as the lines are there; `leaves` is the part of the
    clients that leave, half of them by RST."""
    async with AsyncExitStack() as proxies:
        ports = {name: await proxies.enter_async_context(through(port, toxic)) for name, toxic in TOXICS.items()}

        async def ask_over(client: Client, question: Question, tally: Tally) -> None:
            leaving = _leaving(chance) if chance.random() < leaves else None
            if chance.random() >= BAD:
                await ask(client, question, tally, leaves=leaving)
                return
            name = chance.choice(list(ports))
            beyond = Client(ports[name])
            await ask(beyond, question, tally, leaves=leaving, lossy=TOXICS[name].lossy)
            beyond.close()

        yield ask_over


def _leaving(chance: random.Random) -> Leaving:
    return Leaving(chance.choice(STAGES), chance.random() * LONGEST_S, chance.random() < 0.5)
