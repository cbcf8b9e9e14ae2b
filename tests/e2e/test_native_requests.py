"""Requests of every kind against CTranslate2, the engine whose library can end the process: none of them does.

In `make test` a few hundred of each, the same ones every time; `HYPOTHESIS_PROFILE=long` makes them thousands.
"""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings

from alcove.store.convert import convert
from tests.serving import Server, running

MANY = settings.default.max_examples
CLIENTS = 8
MODELS = {"t5": "t5-untied", "llama": "llama"}
Chance = random.Random
Fields = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, zoo: Callable[[str], Path]) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("native")
    tables = []
    for name, family in MODELS.items():
        convert(zoo(family), folder / name)
        limits = "max_queue = 256\nmax_prompt_tokens = 128\nmax_output_tokens = 32\n"  # longer ones would show no more
        tables.append(f'[[model]]\nname = "{name}"\nsource = "./{name}"\nengine = "ctranslate2"\n{limits}')
    (folder / "alcove.toml").write_text("\n".join(tables))
    with running("serve", cwd=folder) as server:
        yield server


def number(low: float, high: float, *edges: float) -> Callable[[Chance], float]:
    """The edges, or something between."""
    return lambda chance: chance.choice([low, high, *edges, chance.uniform(low, high)])


def whole(low: int, high: int, *more: int) -> Callable[[Chance], int]:
    return lambda chance: chance.choice([low, high, *more, chance.randint(low, high)])


def one_of(*values: Any) -> Callable[[Chance], Any]:
    return lambda chance: chance.choice(values)


def some(of: Callable[[Chance], Any], most: int, least: int = 0) -> Callable[[Chance], list[Any]]:
    return lambda chance: [of(chance) for _ in range(chance.choice([least, most, chance.randint(least, most)]))]


LARGEST = 2**31 - 1
SWITCH = one_of(True, False)
ID = whole(0, 63, 1, 2, 3)
TEXT = one_of("a", "the", " ", "hello world", "é", "🙂", "\n", "\0", "\u200b", "<unk>", "</s>", "x" * 256)
VALID: dict[str, Callable[[Chance], Any]] = {
    "temperature": number(0, 2, 1e-300, 1e-6, 1),
    "top_p": number(0, 1, 1e-300, 1 - 1e-12),
    "top_k": whole(-1, 64, 0, 1, 40, LARGEST),
    "min_p": number(0, 1, 1e-300),
    "typical_p": number(1e-300, 1, 0.2),
    "do_sample": SWITCH,
    "seed": whole(-(2**63), 2**63 - 1, -1, 0, 1, 2**32),
    "presence_penalty": number(-2, 2, 0),
    "frequency_penalty": number(-2, 2, 0),
    "repetition_penalty": number(1e-300, 100, 1, 1.3),
    "no_repeat_ngram_size": whole(0, 1024, 1, 2, 3),
    "logit_bias": lambda chance: {str(ID(chance)): number(-100, 100, 0)(chance) for _ in range(chance.randint(0, 20))},
    "allowed_token_ids": some(ID, 20, 1),
    "bad_words": some(TEXT, 8),
    "bad_words_ids": some(some(ID, 4, 1), 8),
    "suppress_tokens": some(ID, 20),
    "begin_suppress_tokens": some(ID, 20),
    "min_tokens": whole(0, 16, LARGEST),
    "max_tokens": whole(0, 24, 1, 100),
    "ignore_eos": SWITCH,
    "stop": some(TEXT, 4),
    "stop_token_ids": some(ID, 8),
    "include_stop_str_in_output": SWITCH,
    "n": whole(1, 4, 1, 2, 3, 4, 128),
    "best_of": whole(1, 20),
    "num_beams": whole(1, 64, 2, 4),
    "use_beam_search": SWITCH,
    "length_penalty": number(-10, 10, 0, 1),
    "early_stopping": one_of(True, False, "never"),
    "logprobs": whole(0, 20, 1),
    "prompt_logprobs": whole(0, 20, 1),
    "echo": SWITCH,
    "return_token_ids": SWITCH,
    "skip_special_tokens": SWITCH,
    "add_special_tokens": SWITCH,
    "truncate_prompt_tokens": whole(-1, 64, 1, 2, LARGEST),
    "decoder_prefix": lambda chance: chance.choice([TEXT, some(ID, 8, 1)])(chance),
    "encoder_no_repeat_ngram_size": whole(0, 8),
    "encoder_repetition_penalty": number(0.1, 10, 1),
    "epsilon_cutoff": number(0, 1),
    "eta_cutoff": number(0, 1),
    "exponential_decay_length_penalty": lambda chance: [chance.randint(0, 8), chance.uniform(0.5, 2)],
    "min_length": whole(0, 64),
    "diversity_penalty": number(0, 2),
    "guidance_scale": number(1, 4),
    "num_beam_groups": whole(1, 4),
    "remove_invalid_values": SWITCH,
    "renormalize_logits": SWITCH,
    "sequence_bias": lambda chance: [[[ID(chance)], chance.uniform(-5, 5)]],
    "top_h": number(0.01, 1),
}
"""Every field that may change tokens: its edges, and what lies between."""
ODD: list[Any] = [
    None, True, -1, -(2**31), 2**31, 2**63, 2**64, 1e308, -1e-308, 0.5, "", "x", "🙂" * 300, [], [[]], [-1],
    [2**31 - 1], [[63, 2**31 - 1]], {}, {"0": -100}, {"2147483647": 100}, [None], list(range(64)) * 20,
]  # fmt: skip
"""Values that one field or another must not have."""


def valid(chance: Chance) -> Fields:
    names = chance.sample(sorted(VALID), chance.choice([1, 2, 3, 5, 8, 12]))
    return {"prompt": prompt(chance), "max_tokens": 12} | {name: VALID[name](chance) for name in names}


def prompt(chance: Chance) -> Any:
    ids = some(ID, 40, 1)
    return chance.choice([lambda _: "hello world", TEXT, some(TEXT, 6, 1), ids, some(ids, 4, 1)])(chance)


def fuzzed(chance: Chance) -> Fields:
    """Some of it as it should not be: ids of no token, values of other types and sizes, endless or empty prompts."""
    fields = valid(chance)
    for name in chance.sample(sorted(fields), chance.choice([0, 0, 1, 2])):
        fields[name] = chance.choice(ODD)
    wild = some(ID, chance.choice([1, 40, 600]), 1)(chance)
    wild[chance.randrange(len(wild))] = whole(0, 117, 118, 449, 450, 65_535, LARGEST)(chance)  # the last ids, and more
    letters = "".join(chr(chance.choice([*range(128), *range(0xA0, 0x3000, 97), 0x1F642])) for _ in range(300))
    ordinary = [fields["prompt"]] * 3
    return fields | {"prompt": chance.choice([wild, [[0], wild], letters, letters * 20, *ordinary])}


def answers(server: Server, bodies: list[Fields]) -> Iterator[tuple[Fields, httpx.Response]]:
    """From several clients at a time, so that strange requests share their batches with others."""
    with (
        httpx.Client(base_url=server.url, timeout=120, limits=httpx.Limits(max_connections=CLIENTS)) as client,
        ThreadPoolExecutor(CLIENTS) as senders,
    ):
        yield from zip(bodies, senders.map(lambda body: client.post("/v1/completions", json=body), bodies), strict=True)


@pytest.mark.parametrize("model", MODELS)
def test_every_valid_set_of_options_is_answered(server: Server, model: str) -> None:
    """Or refused by the name of a field, for what this engine has not or cannot join."""
    chance = Chance(f"valid {model}")
    bodies = [{"model": model} | valid(chance) for _ in range(MANY)]
    fine = 0
    for body, response in answers(server, bodies):
        assert response.status_code in (200, 400), (body, response.text)
        if response.status_code == 400:
            assert response.json()["error"]["param"], (body, response.text)
        else:
            assert all(choice["finish_reason"] for choice in response.json()["choices"])
            fine += 1
    print(f"{model}: {fine} of {len(bodies)} valid requests were answered")
    assert fine > MANY // 10
    assert server.process.poll() is None


@pytest.mark.parametrize("model", MODELS)
def test_no_request_ends_the_process(server: Server, model: str) -> None:
    chance = Chance(f"fuzzed {model}")
    bodies = [{"model": model} | fuzzed(chance) for _ in range(MANY * 2)]
    sent = list(answers(server, bodies))
    assert [(body, response.text) for body, response in sent if response.status_code not in (200, 400)] == []
    statuses = [response.status_code for _, response in sent]
    assert set(statuses) == {200, 400}
    print(f"{model}: {statuses.count(200)} of {len(bodies)} odd requests were answered")
    assert statuses.count(200) > MANY // 10
    assert server.process.poll() is None
