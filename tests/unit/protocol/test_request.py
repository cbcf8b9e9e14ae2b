"""From a body to jobs: what each field means, and that nothing but a clear refusal can come of a bad one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcove.errors import InvalidRequest
from alcove.jobs import Chat, Message, TokenIds
from alcove.protocol.chat import ChatRequest
from alcove.protocol.completions import CompletionRequest
from alcove.protocol.fields import ACCEPTED, ENGINE_OPTIONS, REFUSED, GenerationRequest
from alcove.protocol.request import chat_jobs, completion_jobs, parse
from alcove.runs import Options

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
known_names = st.sampled_from(
    sorted({*CompletionRequest.model_fields, *ChatRequest.model_fields, *REFUSED, *ENGINE_OPTIONS})
)


def jobs(**fields: Any) -> Any:
    return completion_jobs(*parse(json.dumps({"prompt": "x", **fields}).encode(), CompletionRequest))


def options(**fields: Any) -> Options:
    chosen: Options = jobs(**fields)[0].options
    return chosen


def test_the_four_forms_of_a_prompt() -> None:
    prompts = {
        json.dumps(prompt): [job.prompt for job in jobs(prompt=prompt)]
        for prompt in ("a", ["a", "b"], [1, 2], [[1], [2, 3]])
    }
    assert prompts == {
        '"a"': ["a"],
        '["a", "b"]': ["a", "b"],
        "[1, 2]": [TokenIds((1, 2))],
        "[[1], [2, 3]]": [TokenIds((1,)), TokenIds((2, 3))],
    }
    assert [job.param for job in jobs(prompt=["a", "b"])] == ["prompt[0]", "prompt[1]"]


@pytest.mark.parametrize(
    ("fields", "temperature"),
    [
        ({}, None),  # the model's own default holds
        ({"temperature": 0}, 0.0),
        ({"temperature": 0.7}, 0.7),
        ({"top_p": 0.9}, 1.0),  # a way to sample asks to sample
        ({"top_k": 5}, 1.0),
        ({"top_k": -1}, None),
        ({"top_p": 0}, 0.0),  # nothing but the most probable token
        ({"do_sample": True}, 1.0),
        ({"do_sample": False, "temperature": 0.7}, 0.0),
    ],
)
def test_when_an_answer_is_sampled(fields: dict[str, Any], temperature: float | None) -> None:
    assert options(**fields).temperature == temperature


def test_names_of_the_limit() -> None:
    assert jobs()[0].max_tokens is None
    assert jobs()[0].default_max_tokens == 16
    assert jobs(max_new_tokens=5)[0].max_tokens == 5
    body = b'{"messages": [{"role": "user", "content": "x"}], "max_completion_tokens": 7, "max_tokens": 9}'
    job = chat_jobs(*parse(body, ChatRequest))[0]
    assert (job.max_tokens, job.default_max_tokens) == (7, None)


def test_messages() -> None:
    body = {
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "me"},
            {"role": "assistant", "content": None, "refusal": None, "tool_calls": None},
        ]
    }
    job = chat_jobs(*parse(json.dumps(body).encode(), ChatRequest))[0]
    assert job.prompt == Chat(
        (
            Message(role="system", content="be kind"),
            Message(role="user", content="a\nb", name="me"),
            Message(role="assistant", content=""),
        )
    )


def test_options_of_the_engine_go_through_and_neutral_ones_vanish() -> None:
    assert options(typical_p=0.5, min_p=0).extra == {"typical_p": 0.5}
    assert jobs(stop="a")[0].stop == ("a",)
    assert jobs(stop=None, presence_penalty=0, logprobs=None, user="me")


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_every_refused_field_names_itself(name: str) -> None:
    neutral, instead = REFUSED[name]
    with pytest.raises(InvalidRequest) as caught:
        jobs(**{name: {"something": "else"}})
    assert caught.value.param == name
    assert name in str(caught.value)
    assert instead in str(caught.value)
    for value in neutral:
        assert jobs(**{name: value})


def test_the_tables_do_not_overlap() -> None:
    declared = {*CompletionRequest.model_fields, *ChatRequest.model_fields}
    tables: list[set[str]] = [declared, set(ACCEPTED), set(REFUSED), set(ENGINE_OPTIONS)]
    assert sum(map(len, tables)) == len(set().union(*tables))


def test_an_unknown_field_is_told_its_neighbour() -> None:
    with pytest.raises(InvalidRequest, match=r"'temprature'.*'temperature'"):
        jobs(temprature=1)


@pytest.mark.parametrize("wire_type", [CompletionRequest, ChatRequest])
@given(fields=st.dictionaries(known_names | st.text(max_size=8), json_values, max_size=6))
def test_any_object_is_taken_or_clearly_refused(wire_type: type[GenerationRequest], fields: dict[str, Any]) -> None:
    refusals = []
    try:
        parse(json.dumps(fields).encode(), wire_type)
    except InvalidRequest as error:
        refusals.append(str(error))
    assert not any("\n" in refusal for refusal in refusals)


@given(body=st.binary(max_size=60))
def test_any_bytes_are_taken_or_clearly_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse(body, CompletionRequest)
