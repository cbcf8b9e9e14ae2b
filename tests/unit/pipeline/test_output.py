"""Outputs of runs: what steps become, which of several are kept, and how much a request may ask for."""

from pathlib import Path
from typing import Any

import pytest

from alcove.errors import InvalidRequest
from alcove.jobs import Event, Job
from alcove.pipeline.best_of import BestOf
from alcove.pipeline.budget import Budget
from alcove.pipeline.output import Form, Output
from alcove.pipeline.text.chain import text_chain
from alcove.pipeline.token_texts import TokenTexts
from alcove.runs import DEFAULT_OPTIONS, Options, Run, Step, TokenLogprob

from .folders import load, write_tokenizer


def output(path: Path, index: int = 0, *, form: dict[str, Any] | None = None, **job: Any) -> Output:
    if not (path / "tokenizer.json").exists():
        write_tokenizer(path)
    tokenizer = load(path)
    wanted = Job(prompt="x", param="prompt", **job)
    chain = text_chain(tokenizer, wanted.stop, keep_stop=wanted.include_stop, skip_special=wanted.skip_special)
    whole = {"number": 0, "job": wanted, "prompt_ids": (2,), "given": (), "end": 1, **(form or {})}
    return Output(Form(**whole), index, chain, TokenTexts(tokenizer), prompt_tokens=int(index == 0))


A, B, C = 3, 4, 5


def known(*numbers: float) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(number, ((A, -0.5), (B, -1.0))) for number in numbers)


def test_tokens_and_their_log_probabilities(tmp_path: Path) -> None:
    one = output(tmp_path, logprobs=1, form={"lead": "so:"})
    one.take(Step(run="r", tokens=(A, 2, B), logprobs=known(-1.0, -2.0, -3.0)))
    one.take(Step(run="r", logprobs=known(-4.0), finish="stop"))
    event = one.event()
    assert (event.text, event.ids, event.tokens, event.prompt_tokens) == ("so:a b", (A, 2, B), 3, 1)
    assert [(t.text, t.logprob, t.offset) for t in event.logprobs] == [("a", -1.0, 3), (" ", -2.0, 4), ("b", -3.0, 5)]
    assert [[other.id for other in t.top] for t in event.logprobs] == [[A], [A], [A]]
    assert event.end is not None
    assert (event.end.text, event.end.logprob, event.stop) == ("</s>", -4.0, None)
    assert one.mean_logprob == -2.5
    assert one.event() == Event(job=0, finish="stop")


def test_what_comes_after_a_stop_string_does_not_count(tmp_path: Path) -> None:
    one = output(tmp_path, logprobs=0, stop=("b",))
    one.take(Step(run="r", tokens=(A, B, C), logprobs=known(-1.0, -2.0, -30.0)))
    one.take(Step(run="r", tokens=(C,), logprobs=known(-30.0), finish="length"))
    event = one.event()
    assert (event.text, event.ids, event.finish, event.stop) == ("a", (A, B), "stop", "b")
    assert one.mean_logprob == -1.5


@pytest.mark.parametrize("keep", [False, True])
def test_stop_tokens(keep: bool, tmp_path: Path) -> None:
    one = output(tmp_path, include_stop=keep, form={"stop_ids": frozenset({B})})
    one.take(Step(run="r", tokens=(A, B), finish="stop"))
    event = one.event()
    assert (event.text, event.ids, event.stop) == ("ab" if keep else "a", (A, B), B)


def test_a_stop_token_at_the_limit_has_not_ended_it(tmp_path: Path) -> None:
    one = output(tmp_path, form={"stop_ids": frozenset({B})})
    one.take(Step(run="r", tokens=(A, B), finish="length"))
    assert (one.event().stop, one.finish) == (None, "length")


def test_what_is_told_of_a_prompt(tmp_path: Path) -> None:
    form = {"given": (A, B), "lead": "ab", "unasked": 1}
    one = output(tmp_path, echo=True, logprobs=0, prompt_logprobs=2, form=form)
    one.give((None, *known(-2.0)))
    event = one.event()
    assert [(t.text, t.logprob, t.offset, len(t.top)) for t in event.logprobs] == [("a", None, 0, 0), ("b", -2.0, 1, 0)]
    assert [(t.id, len(t.top)) for t in event.prompt_logprobs] == [(B, 2)]


def test_special_tokens_are_shown_when_asked(tmp_path: Path) -> None:
    for skip, text in ((None, "ab"), (True, "ab"), (False, "a</s>b")):
        one = output(tmp_path, skip_special=skip)
        one.take(Step(run="r", tokens=(A, 1, B), finish="length"))
        assert one.event().text == text


def test_the_best_are_kept_best_first(tmp_path: Path) -> None:
    outputs = [output(tmp_path, index) for index in range(4)]
    best_of = BestOf(outputs, 2)
    steps = [((A, A), (-1.0, -3.0)), ((B,), (-1.5,)), ((C, C, C), (-1.0, -1.0, -1.6)), ((), ())]
    for at, (tokens, numbers) in enumerate(steps):
        assert best_of.events() == []
        outputs[at].take(Step(run="r", tokens=tokens, logprobs=known(*numbers), finish="length"))
    events = best_of.events()
    assert [(event.output, event.text, event.finish) for event in events] == [(0, "ccc", "length"), (1, "b", "length")]
    assert sum(event.tokens for event in events) == 6
    assert sum(event.prompt_tokens for event in events) == 1
    assert best_of.events() == []


@pytest.mark.parametrize(
    ("run", "outputs", "given", "cost"),
    [
        ({"max_new_tokens": 100}, 1, 9, 100),
        ({"max_new_tokens": 1}, 3, 9, 192),
        ({"max_new_tokens": 100, "logprobs": 4}, 2, 9, 1000),
        ({"max_new_tokens": 0, "prompt_logprobs": 2}, 1, 9, 91),
        ({"max_new_tokens": 100, "options": Options(num_beams=4)}, 1, 9, 400),
    ],
)
def test_what_a_run_costs(run: dict[str, Any], outputs: int, given: int, cost: int) -> None:
    asked = Run(id="r", tokens=(1,), **{"options": DEFAULT_OPTIONS, **run})
    job = Job(prompt="x", param="prompt")
    Budget(cost).spend(asked, job, outputs, given)
    with pytest.raises(InvalidRequest, match=f"more than {cost - 1} tokens"):
        Budget(cost - 1).spend(asked, job, outputs, given)
