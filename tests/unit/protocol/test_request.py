"""From a body to jobs: what each field means, and that nothing but a clear refusal can come of a bad one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from alcove.errors import InvalidRequest
from alcove.jobs import Chat, Job, Message, TokenIds
from alcove.protocol.chat import ChatRequest
from alcove.protocol.completions import CompletionRequest
from alcove.protocol.fields import ACCEPTED, ALIASES, ENGINE_OPTIONS, REFUSED
from alcove.protocol.generation import GenerationRequest
from alcove.protocol.jobs import chat_jobs, completion_jobs
from alcove.protocol.request import parse, parse_plain
from alcove.protocol.tokens import DetokenizeRequest, ScoreRequest, TokenizeText
from alcove.runs import Options

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
known_names = st.sampled_from(
    sorted({*CompletionRequest.model_fields, *ChatRequest.model_fields, *REFUSED, *ENGINE_OPTIONS, *ALIASES})
)


def jobs(**fields: Any) -> Any:
    return completion_jobs(*parse(json.dumps({"prompt": "x", **fields}).encode(), CompletionRequest))


def chat(**fields: Any) -> Job:
    body = {"messages": [{"role": "user", "content": "x"}], **fields}
    job: Job = chat_jobs(*parse(json.dumps(body).encode(), ChatRequest))[0]
    return job


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
        ({"min_p": 0.1}, 1.0),
        ({"typical_p": 0.9}, 1.0),
        ({"min_p": 0, "typical_p": 1}, None),
        ({"seed": 3}, None),  # clients send it to greedy models, too
        ({"do_sample": True}, 1.0),
        ({"do_sample": False, "temperature": 0.7}, 0.0),
    ],
)
def test_when_an_answer_is_sampled(fields: dict[str, Any], temperature: float | None) -> None:
    assert options(**fields).temperature == temperature


def test_prompts_share_what_is_asked_of_them_all() -> None:
    """2,048 prompts with 65,536 ids each would be a gigabyte."""
    first, second = jobs(prompt=["a", "b"], stop_token_ids=[1, 2], bad_words=["x"], stop=["y"])
    assert first.options is second.options
    assert first.bad_words is second.bad_words


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
    assert options(eta_cutoff=0.5, epsilon_cutoff=0).extra == {"eta_cutoff": 0.5}
    assert jobs(stop="a")[0].stop == ("a",)
    assert jobs(stop=None, presence_penalty=0, logprobs=None, user="me")


def test_options() -> None:
    asked = {
        "min_p": 0.1, "typical_p": 0.9, "seed": -1, "presence_penalty": -2, "frequency_penalty": 2, "min_tokens": 3,
        "ignore_eos": True, "stop_token_ids": [1, 2], "allowed_token_ids": [3], "bad_words_ids": [[4, 5], [6]],
        "logit_bias": {"7": -100, "8": 0.5}, "early_stopping": "never", "num_beams": 2, "temperature": 1,
    }  # fmt: skip
    assert options(**asked).given() == {
        "min_p": 0.1, "typical_p": 0.9, "seed": -1, "presence_penalty": -2, "frequency_penalty": 2, "min_new_tokens": 3,
        "ignore_eos": True, "stop_token_ids": (1, 2), "allowed_token_ids": (3,), "bad_words_ids": ((4, 5), (6,)),
        "logit_bias": {7: -100, 8: 0.5}, "early_stopping": "never", "num_beams": 2, "temperature": 1,
    }  # fmt: skip
    assert options(ignore_eos=False, stop_token_ids=[], bad_words_ids=[], logit_bias={}) == Options()


def test_what_is_asked_beside_options() -> None:
    job = jobs(
        logprobs=2, prompt_logprobs=3, echo=True, bad_words=["a", "b"], skip_special_tokens=False, best_of=5, n=2,
        add_special_tokens=False, truncate_prompt_tokens=-1, include_stop_str_in_output=True, decoder_prefix=[1, 2],
    )[0]  # fmt: skip
    assert (job.logprobs, job.prompt_logprobs, job.echo, job.bad_words) == (2, 3, True, ("a", "b"))
    assert (job.skip_special, job.special, job.truncate_prompt, job.include_stop) == (False, False, -1, True)
    assert (job.outputs, job.best_of, job.decoder_prefix) == (2, 5, (1, 2))
    assert jobs(decoder_prefix="a")[0].decoder_prefix == "a"
    plain = jobs()[0]
    assert (plain.special, plain.skip_special, plain.truncate_prompt, plain.best_of) == (None, None, None, None)


def test_log_probabilities_of_a_chat() -> None:
    assert (chat().logprobs, chat(logprobs=True).logprobs, chat(logprobs=True, top_logprobs=4).logprobs) == (None, 0, 4)
    with pytest.raises(InvalidRequest, match="'top_logprobs' needs 'logprobs'"):
        chat(top_logprobs=4)


def test_how_a_chat_ends() -> None:
    prompts = [chat(**fields).prompt for fields in ({}, {"continue_final_message": True})]
    prompts.append(chat(add_generation_prompt=False, chat_template_kwargs={"think": True}).prompt)
    assert [(p.add_generation_prompt, p.continue_final, p.variables) for p in prompts if isinstance(p, Chat)] == [
        (True, False, {}), (False, True, {}), (False, False, {"think": True}),
    ]  # fmt: skip
    with pytest.raises(InvalidRequest, match="cannot both be true") as caught:
        chat(add_generation_prompt=True, continue_final_message=True)
    assert caught.value.param == "continue_final_message"


def test_names_of_a_beam_search() -> None:
    assert options(use_beam_search=True, n=3).num_beams == 3
    assert options(use_beam_search=True, n=2, best_of=4).num_beams == 4
    assert options(use_beam_search=True, n=2, num_beams=5).num_beams == 5
    assert jobs(use_beam_search=True, n=2, best_of=4)[0].best_of is None
    assert jobs(use_beam_search=True, n=2)[0].names == {"num_beams": "use_beam_search"}


def test_other_names() -> None:
    job = jobs(min_new_tokens=3, num_return_sequences=2)[0]
    assert (job.options.min_new_tokens, job.outputs) == (3, 2)
    with pytest.raises(InvalidRequest, match="another name of 'n'") as caught:
        jobs(n=1, num_return_sequences=2)
    assert (caught.value.param, caught.value.code) == ("num_return_sequences", "invalid_value")
    with pytest.raises(InvalidRequest) as wrong:
        jobs(num_return_sequences=0)
    assert wrong.value.param == "num_return_sequences"


@pytest.mark.parametrize(
    ("fields", "fine"),
    [
        ({"max_tokens": 0}, False),
        ({"max_tokens": 0, "logprobs": 0}, False),
        ({"max_tokens": 0, "echo": True}, False),
        ({"max_tokens": 0, "echo": True, "logprobs": 0}, True),
        ({"max_new_tokens": 0, "prompt_logprobs": 0}, True),
    ],
)
def test_nothing_to_make(fields: dict[str, Any], fine: bool) -> None:
    if fine:
        assert jobs(**fields)[0].max_tokens == 0
    else:
        with pytest.raises(InvalidRequest) as caught:
            jobs(**fields)
        assert caught.value.param == "max_tokens"


LIMITS: list[tuple[str, Any, Any]] = [
    ("n", 128, 129),
    ("best_of", 20, 21),
    ("logprobs", 20, 21),
    ("prompt_logprobs", 20, 21),
    ("temperature", 2, 2.01),
    ("temperature", 0, -0.01),
    ("top_p", 1, 1.01),
    ("top_k", -1, -2),
    ("min_p", 1, 1.01),
    ("min_p", 0, -0.01),
    ("typical_p", 0.001, 0),
    ("typical_p", 1, 1.01),
    ("presence_penalty", 2, 2.01),
    ("presence_penalty", -2, -2.01),
    ("frequency_penalty", 2, 2.01),
    ("frequency_penalty", -2, -2.01),
    ("repetition_penalty", 100, 100.1),
    ("seed", 2**63 - 1, 2**63),
    ("seed", -(2**63), -(2**63) - 1),
    ("logit_bias", {"1": 100}, {"1": 100.1}),
    ("logit_bias", {"1": -100}, {"-1": 1}),
    ("logit_bias", {str(i): 1 for i in range(1024)}, {str(i): 1 for i in range(1025)}),
    ("stop", ["a"] * 4, ["a"] * 5),
    ("stop", "a" * 256, "a" * 257),
    ("stop_token_ids", [2**31 - 1], [2**31]),
    ("stop_token_ids", [1] * 65_536, [1] * 65_537),
    ("allowed_token_ids", [1] * 65_536, [1] * 65_537),
    ("allowed_token_ids", [0], []),
    ("bad_words", ["a"] * 1024, ["a"] * 1025),
    ("bad_words", ["a" * 256], ["a" * 257]),
    ("bad_words", ["a"], [""]),
    ("bad_words_ids", [[1]] * 1024, [[1]] * 1025),
    ("bad_words_ids", [[1] * 64], [[1] * 65]),
    ("bad_words_ids", [[1]], [[]]),
    ("truncate_prompt_tokens", -1, -2),
    ("min_tokens", 0, -1),
    ("max_tokens", 2**31 - 1, 2**31),
    ("max_tokens", 1, -1),
    ("num_beams", 64, 65),
    ("decoder_prefix", "a", ""),
    ("decoder_prefix", [0], []),
    ("early_stopping", "never", "always"),
    ("ignore_eos", True, 1),
    ("seed", 1, True),
    ("prompt", ["a"] * 2048, ["a"] * 2049),
]


@pytest.mark.parametrize(("name", "fine", "wrong"), LIMITS)
def test_limits(name: str, fine: Any, wrong: Any) -> None:
    assert jobs(**{name: fine})
    with pytest.raises(InvalidRequest) as caught:
        jobs(**{name: wrong})
    assert (caught.value.param or "").partition("[")[0] == name
    assert caught.value.code == "invalid_value"


@pytest.mark.parametrize(
    ("name", "fine", "wrong"),
    [
        ("top_logprobs", 20, 21),
        ("messages", [{"role": "user", "content": "x"}] * 2048, [{"role": "user", "content": "x"}] * 2049),
        ("chat_template_kwargs", {str(i): 1 for i in range(32)}, {str(i): 1 for i in range(33)}),
    ],
)
def test_limits_of_a_chat(name: str, fine: Any, wrong: Any) -> None:
    assert chat(**{"logprobs": True, name: fine})
    with pytest.raises(InvalidRequest) as caught:
        chat(**{"logprobs": True, name: wrong})
    assert caught.value.param == name


def test_the_best_of_a_stream() -> None:
    assert jobs(best_of=1, stream=True)
    assert jobs(best_of=2, n=2, stream=True)[0].best_of is None
    for fields in ({"best_of": 2, "stream": True}, {"best_of": 2, "n": 3}):
        with pytest.raises(InvalidRequest) as caught:
            jobs(**fields)
        assert caught.value.param == "best_of"


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_every_refused_field_names_itself(name: str) -> None:
    neutral, instead = REFUSED[name]
    with pytest.raises(InvalidRequest) as caught:
        jobs(**{name: {"something": "else"}})
    assert caught.value.param == name
    assert name in str(caught.value)
    assert name in CompletionRequest.model_fields or instead in str(caught.value)
    for value in neutral:
        assert jobs(**{name: value})


def test_the_tables_do_not_overlap() -> None:
    tables: list[set[str]] = [set(ACCEPTED), set(REFUSED), set(ENGINE_OPTIONS), set(ALIASES)]
    for wire_type in (CompletionRequest, ChatRequest):
        assert sum(map(len, tables)) == len(set().union(*tables))
        assert not wire_type.model_fields.keys() & {*ACCEPTED, *ENGINE_OPTIONS, *ALIASES}
    assert not GenerationRequest.model_fields.keys() & {*REFUSED}


def test_an_unknown_field_is_told_its_neighbour() -> None:
    with pytest.raises(InvalidRequest, match=r"'temprature'.*'temperature'"):
        jobs(temprature=1)


@pytest.mark.parametrize(
    ("wire_type", "fields", "name", "hint"),
    [
        (TokenizeText, {"prompt": "x", "retrun_token_strs": True}, "retrun_token_strs", "'return_token_strs'"),
        (ScoreRequest, {"text_1": "x", "text_2": "y", "text2": 1, "text3": 1}, "text2", "'text_2'"),
        (DetokenizeRequest, {"tokens": [1], "n" * 2_000_000: 1}, "n" * 100, "Unknown field"),
    ],
)
def test_an_unknown_field_of_other_endpoints(
    wire_type: type[BaseModel], fields: dict[str, Any], name: str, hint: str
) -> None:
    with pytest.raises(InvalidRequest, match=hint) as caught:
        parse_plain(fields, wire_type)
    assert (caught.value.param, caught.value.code) == (name, "unknown_parameter")
    assert parse_plain(
        {key: fields[key] for key in fields if key in wire_type.model_fields} | {"user": "me"}, wire_type
    )


@pytest.mark.parametrize(
    ("wire_type", "fields"),
    [(DetokenizeRequest, {"tokens": [1, "", ""]}), (CompletionRequest, {"prompt": "x", "stop_token_ids": [1, "", ""]})],
)
def test_one_wrong_id_is_enough(wire_type: type[BaseModel], fields: dict[str, Any]) -> None:
    """A list of what is wrong with each of 500,000 would be 400 MB."""
    with pytest.raises(ValidationError) as caught:
        wire_type.model_validate(fields)
    assert [fault["loc"][1] for fault in caught.value.errors()] == [1]


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
