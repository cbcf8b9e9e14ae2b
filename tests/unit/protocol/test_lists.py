"""How much the lists of a request may come to, for all its prompts and choices."""

import json
from typing import Any

import pytest

from alcove.errors import InvalidRequest
from alcove.protocol.chat import ChatRequest
from alcove.protocol.completions import CompletionRequest
from alcove.protocol.generation import MAX_IDS
from alcove.protocol.jobs import chat_jobs, completion_jobs
from alcove.protocol.lists import MAX_LISTED
from alcove.protocol.request import parse

FULL = [1] * MAX_IDS
MOST = MAX_LISTED // MAX_IDS
"""Runs that may each have a full list."""


def completion(**fields: Any) -> int:
    return len(completion_jobs(*parse(json.dumps({"prompt": "x", **fields}).encode(), CompletionRequest)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stop_token_ids", FULL),
        ("allowed_token_ids", FULL),
        ("bad_words_ids", [[1] * 64] * 1024),
        ("suppress_tokens", FULL),
        ("sequence_bias", [[[1] * (MAX_IDS - 3), 2.0]]),
    ],
)
@pytest.mark.parametrize("many", ["prompt", "n", "best_of"])
def test_a_full_list_is_for_a_few_runs(name: str, value: Any, many: str) -> None:
    def fields(runs: int) -> dict[str, Any]:
        return {name: value, many: ["x"] * runs if many == "prompt" else runs}

    assert completion(**fields(MOST))
    with pytest.raises(InvalidRequest, match=f"{MAX_IDS} entries, and it has {MOST + 1} prompts or choices") as caught:
        completion(**fields(MOST + 1))
    assert (caught.value.param, caught.value.code) == (name, "invalid_value")


def test_lists_are_added_up_and_the_longest_is_named() -> None:
    biases = {str(token): 1 for token in range(1024)}
    fields = {"logit_bias": biases, "bad_words": ["a"] * 128, "stop_token_ids": [1] * 512, "prompt": ["x"] * 512}
    assert completion(**fields) == 512
    with pytest.raises(InvalidRequest, match="have 2049 entries") as caught:
        completion(**{**fields, "stop_token_ids": [1] * 513})
    assert caught.value.param == "logit_bias"


@pytest.mark.parametrize("search", [{"num_beams": 64}, {"use_beam_search": True}])
def test_a_beam_search_is_one_run(search: dict[str, Any]) -> None:
    assert completion(stop_token_ids=FULL, n=MOST + 1, **search)


def test_choices_of_a_chat() -> None:
    body = {"messages": [{"role": "user", "content": "x"}], "n": MOST + 1, "stop_token_ids": FULL}
    with pytest.raises(InvalidRequest, match="prompts or choices"):
        chat_jobs(*parse(json.dumps(body).encode(), ChatRequest))


def test_a_list_that_only_an_engine_can_judge_is_bounded_too() -> None:
    with pytest.raises(InvalidRequest, match=f"'suppress_tokens': at most {MAX_IDS} entries") as caught:
        completion(suppress_tokens=[*FULL, 1])
    assert (caught.value.param, caught.value.code) == ("suppress_tokens", "invalid_value")
