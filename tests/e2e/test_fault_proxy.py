"""Answers through a bad network: what arrives is right as far as it comes, and nothing stays behind."""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.soak.client import Client, Reply, post
from tests.soak.endings import read
from tests.soak.proxy import TOXICS, through
from tests.soak.tally import Tally
from tests.soak.watched import Watched, echo, watching

EACH = 6
FORMS = ("whole", "streamed", "chat")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    table = echo("echo", "delay_s = 0.002", workers=2)
    with watching(tmp_path_factory.mktemp("server"), table) as watched:
        yield watched


def question(form: str, number: int) -> tuple[bytes, str]:
    """A request, and the text that it is to be answered with."""
    text = f"<{number}-{random.Random(number).randrange(10**9)} ü東🙂>" * 4
    body: dict[str, Any] = {"max_tokens": 500, "stream": form != "whole"}
    prompt = {"messages": [{"role": "user", "content": text}]} if form == "chat" else {"prompt": text}
    return post(body | prompt), text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", TOXICS)
async def test_no_text_is_wrong_and_no_place_is_kept(watched: Watched, name: str, form: str) -> None:
    """Where the line only is slow all texts are whole; where it is cut they are right as far as they come."""
    tally, before = Tally(), watched.at_rest()
    toxic = TOXICS[name]

    async def one(port: int, number: int) -> None:
        request, text = question(form, number)
        client = Client(port)
        tally.add(read(await client.ask(request, timeout_s=30)), text, lossy=toxic.lossy)
        client.close()

    async with through(watched.port, toxic) as port:
        await asyncio.gather(*(one(port, number) for number in range(EACH)))
    assert (tally.wrong, tally.unshaped) == ([], [])
    assert tally.requests == EACH
    if toxic.lossy and form != "whole":
        assert tally.cut == EACH
    elif not toxic.lossy:
        assert tally.exact == EACH
    assert await watched.freed_after() < 5
    after = watched.at_rest(before)
    assert (after.files, after.tasks) == (before.files, before.tasks)


async def test_a_byte_at_a_time_gives_the_very_events(watched: Watched) -> None:
    """The fields of each event, its id and its time left out."""
    request, text = question("streamed", 1)
    async with through(watched.port, TOXICS["slicer"]) as port:
        replies = [await Client(at).ask(request) for at in (watched.port, port)]
    near, far = map(events, replies)
    assert far["text"] == near["text"] == text
    assert far["last"] == near["last"]
    assert far["fields"] == near["fields"]


def events(reply: Reply) -> dict[str, Any]:
    """What does not depend on how many tokens a chunk happened to hold."""
    assert reply.complete
    *told, done, rest = b"".join(reply.pieces).split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in told]
    assert len({chunk["id"] for chunk in chunks}) == 1
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    return {
        "text": "".join(choice["text"] for choice in choices),
        "last": choices[-1]["finish_reason"],
        "fields": {tuple(chunk) for chunk in chunks},
    }
