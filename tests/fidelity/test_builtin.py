"""The built-in models do what their cards say, on cases they were not trained on, through the real server, on both
engines from the same weights."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.serving import Server, running

CASES: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parents[1] / "builtin_cases.json").read_text())
BARS = {"readme": 1.0, "trained": 1.0, "unseen": 0.85, "skill": 0.95}
"""Share of answers that must be right to the letter."""
ENGINES = ("ctranslate2", "transformers")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("builtin")
    models = (
        f'[[model]]\nname = "{kind}/{engine}"\nsource = "builtin:alcove-{kind}"\nengine = "{engine}"\nmax_queue = 999\n'
        for kind in CASES
        for engine in ENGINES
    )
    (folder / "alcove.toml").write_text("".join(models))
    with running("serve", cwd=folder) as server:
        yield server


async def answers(server: Server, kind: str, engine: str) -> list[str]:
    """What the model says to each case, all asked at once."""
    model = f"{kind}/{engine}"
    async with openai.AsyncOpenAI(base_url=server.api, api_key="none", max_retries=0) as client:

        async def ask(case: dict[str, Any]) -> str:
            if kind == "chat":
                chat = await client.chat.completions.create(model=model, messages=case["messages"])
                return chat.choices[0].message.content or ""
            return (await client.completions.create(model=model, prompt=case["prompt"])).choices[0].text

        return list(await asyncio.gather(*map(ask, CASES[kind])))


@pytest.mark.parametrize("kind", CASES)
async def test_accuracy(server: Server, kind: str) -> None:
    """Every bar on each engine, and int8 within a point of float32."""
    right: dict[str, list[bool]] = {}
    for engine in ENGINES:
        by_kind = defaultdict(list)
        said = await answers(server, kind, engine)
        for case, answer in zip(CASES[kind], said, strict=True):
            by_kind[case["kind"]].append(answer == case["answer"])
        shares = {name: sum(results) / len(results) for name, results in by_kind.items()}
        low = {name: share for name, share in shares.items() if share < BARS[name.partition(":")[0]]}
        assert not low, (engine, low)
        right[engine] = [result for results in by_kind.values() for result in results]
    shares = {engine: sum(results) / len(results) for engine, results in right.items()}
    assert abs(shares["ctranslate2"] - shares["transformers"]) <= 0.01


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stream", [False, True])
def test_end_of_sequence_at_once(server: Server, engine: str, stream: bool) -> None:
    """After its own whole answer the model has nothing to add: an empty text, no token counted, finish `stop`."""
    prompt = "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\nHello! How can I help you?"
    client = openai.OpenAI(base_url=server.api, api_key="none", max_retries=0)
    options = {"model": f"chat/{engine}", "prompt": prompt, "max_tokens": 10}
    if stream:
        *chunks, last = client.completions.create(stream=True, stream_options={"include_usage": True}, **options)
        choices, usage = [choice for chunk in chunks for choice in chunk.choices], last.usage
    else:
        answer = client.completions.create(**options)
        choices, usage = answer.choices, answer.usage
    assert [(choice.text, choice.finish_reason) for choice in choices] == [("", "stop")]
    assert usage is not None
    assert usage.completion_tokens == 0
