"""Many requests in one moment: as many are served as there is room for, and the others are told when to come again."""

import asyncio
from pathlib import Path
from typing import Any

from tests.soak.client import Client, post
from tests.soak.endings import read
from tests.soak.watched import echo, watching

PLACES, QUEUE, ALL = 4, 16, 200
STEP_S, STEPS = 0.2, 5
"""A request lasts more than a second: many times what it takes to send all of them."""


async def test_a_moments_requests_fill_the_room_and_not_more(tmp_path: Path) -> None:
    table = echo("echo", f"delay_s = {STEP_S}", workers=PLACES, max_batch_size=1, max_queue=QUEUE)
    with watching(tmp_path, table) as watched:
        texts = [f"{number:>{STEPS}}" for number in range(ALL)]
        clients = [Client(watched.port) for _ in texts]
        asked: list[dict[str, Any]] = [{"prompt": text, "max_tokens": STEPS} for text in texts]
        replies = await asyncio.gather(*(client.ask(post(body)) for client, body in zip(clients, asked, strict=True)))
        endings = list(map(read, replies))
        for client in clients:
            client.close()
        served = [(ending.text, text) for ending, text in zip(endings, texts, strict=True) if ending.whole]
        refused = [reply for reply, ending in zip(replies, endings, strict=True) if not ending.whole]
        assert len(served) == PLACES + QUEUE
        assert all(got == wanted for got, wanted in served)
        assert {reply.status for reply in refused} == {503}
        assert {ending.code for ending in endings} == {None, "server_is_overloaded"}
        assert all(1 <= int(reply.headers["retry-after"]) <= 120 for reply in refused)
        assert await watched.freed_after() < 5
        assert read(await Client(watched.port).ask(post(asked[0]))).text == texts[0], "and well again"
