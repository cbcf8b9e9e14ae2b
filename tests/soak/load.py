"""Questions with known answers, asked by many clients at once; each ending is counted in a tally."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.soak.client import Client, Leaving, Reply, post
from tests.soak.endings import Ending, read
from tests.soak.tally import Tally


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and the text that it is to be answered with."""

    model: str
    prompt: str
    expected: str
    max_tokens: int
    streamed: bool
    more: dict[str, Any] = field(default_factory=dict)

    def request(self) -> bytes:
        """As it is sent."""
        body = {"model": self.model, "prompt": self.prompt, "max_tokens": self.max_tokens, **self.more}
        return post(body | {"stream": True, "stream_options": {"include_usage": True}} if self.streamed else body)


def tagged(model: str, number: int, chance: random.Random, *, most: int = 60, streamed: bool | None = None) -> Question:
    """A question for an echo model whose every part tells whose it is; 6 of 10 are streams, unless it is said."""
    tag = f"<{number}-{chance.randrange(10**6)}>"
    text = (tag * most)[: chance.randint(12, most)]
    if streamed is None:
        streamed = chance.random() < 0.6
    return Question(model, text, text, len(text), streamed)


class Fixed(random.Random):
    """In place of a chance, makes all questions of one length, or as long as they may be."""

    def __init__(self, length: int = 10**6) -> None:
        super().__init__(length)
        self._length = length

    def randint(self, a: int, b: int) -> int:
        return min(self._length, b)


async def ask(
    client: Client,
    question: Question,
    tally: Tally,
    *,
    leaves: Leaving | None = None,
    lossy: bool = False,
    timeout_s: float = 60.0,
) -> tuple[Reply, Ending]:
    """Ask one, and count how it ended."""
    reply = await client.ask(question.request(), leaving=leaves, timeout_s=timeout_s)
    ending = read(reply)
    tally.add(ending, question.expected, left=reply.left, lossy=lossy)
    return reply, ending


async def learn(port: int, model: str, prompts: Iterable[str], max_tokens: int) -> dict[str, str]:
    """What these prompts are answered when each is asked alone."""
    client = Client(port)
    known = {}
    for prompt in prompts:
        ending = read(await client.ask(Question(model, prompt, "", max_tokens, streamed=False).request()))
        assert ending.whole, ending
        known[prompt] = ending.text
    client.close()
    return known


async def by_clients(
    port: int, clients: int, numbers: Iterable[int], one: Callable[[Client, int], Awaitable[object]]
) -> None:
    """So many clients, each of which takes the next number as soon as it has done with the last."""
    waiting = iter(numbers)

    async def work() -> None:
        client = Client(port)
        try:
            for number in waiting:
                await one(client, number)
        finally:
            client.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(work())


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of them does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0
