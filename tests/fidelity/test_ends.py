"""How an output ends, on both engines: what the model thought of its own end of sequence is what transformers' forward
pass gives, and each engine says which rules it has for the end of a beam search."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from alcove.engines import ctranslate2, transformers
from alcove.errors import ConfigurationError, InvalidRequest
from alcove.pipeline.options import model_options, run_options
from alcove.runs import DEFAULT_OPTIONS, Options, Run

from ..zoo.text import PROMPTS
from .driving import GREEDY, Folders, Open, Opened, assert_right, convert_all, open_all, run_all

NAMES = ("t5-untied", "gpt2", "llama")
BEAMS = {"num_beams": 3, "temperature": 0.0}


@pytest.fixture(scope="module")
def engines(zoo: Folders, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Open]:
    """By the engine's name: opens a model of the zoo in it."""
    converted = convert_all(zoo, tmp_path_factory.mktemp("converted"))
    return {"transformers": open_all(transformers.load, zoo), "ctranslate2": open_all(ctranslate2.load, zoo, converted)}


@pytest.fixture(params=["transformers", "ctranslate2"])
def opened(engines: Mapping[str, Open], request: pytest.FixtureRequest) -> Open:
    return engines[request.param]


def assert_end_is_told(model: Opened, run: Run, *, after: int) -> None:
    """The output has `after` tokens, and an entry more: that of the end which the model made."""
    got = run_all(model.engine, [run])
    tokens, entries = got.tokens(run.id), got.logprobs(run.id)
    assert (len(tokens), len(entries), got.last(run.id).finish) == (after, after + 1, "stop")
    (end,) = model.reference.ends
    given = model.reference.log_probabilities(run, (*tokens, end))
    for entry, expected, token in zip(entries, given[len(given) - after - 1 :], (*tokens, end), strict=True):
        assert entry.logprob == pytest.approx(float(expected[token]), abs=1e-3)
        values = expected.topk(run.logprobs or 0).values.tolist()
        assert [value for _, value in entry.top] == pytest.approx(values, abs=1e-3)


@pytest.mark.parametrize("after", [0, 4])
@pytest.mark.parametrize("name", NAMES)
def test_the_models_own_end_has_a_log_probability(opened: Open, name: str, after: int) -> None:
    model = opened(name)
    (end,) = model.reference.ends
    options = Options(logit_bias={end: 100.0}, min_new_tokens=after).over(GREEDY)
    # 1: what a client sends that only wants the prompt's; the end may come at the limit as well
    for limit in (after + 1, after + 9):
        assert_end_is_told(model, model.run_for(PROMPTS[0], limit, options, logprobs=3), after=after)


@pytest.mark.parametrize("name", NAMES)
def test_the_end_is_told_of_a_row_in_a_batch_too_and_only_where_it_came(opened: Open, name: str) -> None:
    model = opened(name)
    (end,) = model.reference.ends
    ended = Options(logit_bias={end: 100.0}).over(GREEDY)
    endless = Options(ignore_eos=True).over(GREEDY)
    runs = [
        model.run_for(PROMPTS[0], 6, ended, logprobs=0),
        model.run_for(PROMPTS[0], 6, ended),
        model.run_for(PROMPTS[0], 6, endless, logprobs=0),
    ]
    got = run_all(model.engine, runs)
    assert [len(got.logprobs(run.id)) for run in runs] == [1, 0, 6]
    assert [len(got.tokens(run.id)) for run in runs] == [0, 0, 6]


@pytest.mark.parametrize("name", ["t5-untied", "gpt2"])
def test_the_outputs_of_beams_tell_theirs(engines: Mapping[str, Open], name: str) -> None:
    model = engines["transformers"](name)
    (end,) = model.reference.ends
    run = model.run_for(PROMPTS[0], 12, Options.of({**BEAMS, "logit_bias": {end: 4.0}}), outputs=3, logprobs=0)
    got = run_all(model.engine, [run])
    ended = [output for output in range(3) if got.last(run.id, output).finish == "stop"]
    assert ended
    for output in ended:
        tokens = (*got.tokens(run.id, output), end)
        logs = model.reference.log_probabilities(run, tokens)
        entry = got.logprobs(run.id, output)[len(tokens) - 1]
        assert entry.logprob == pytest.approx(float(logs[-1][end]), abs=1e-3)


# ---- early_stopping


def options_for(model: Opened, **asked: Any) -> Options:
    """What the pipeline makes of a request's options for a model whose own file says nothing."""
    return run_options(Options.of(asked), Options(), DEFAULT_OPTIONS, model.engine.capabilities)


@pytest.mark.parametrize("early_stopping", [False, "never"])
def test_ctranslate2_has_one_rule_and_refuses_the_others(engines: Mapping[str, Open], early_stopping: Any) -> None:
    model = engines["ctranslate2"]("t5-untied")
    run = model.run_for(PROMPTS[0])
    for beams in ({}, {"num_beams": 1}):
        model.engine.check(replace(run, options=options_for(model, early_stopping=early_stopping, **beams)))
    with pytest.raises(InvalidRequest, match=r"early_stopping.*ctranslate2.*transformers") as refused:
        model.engine.check(replace(run, options=options_for(model, early_stopping=early_stopping, **BEAMS)))
    assert refused.value.param == "early_stopping"


def test_where_nothing_is_said_the_engines_own_rule_holds(engines: Mapping[str, Open]) -> None:
    for name, rule in (("ctranslate2", True), ("transformers", False)):
        model = engines[name]("t5-untied")
        unset, same = (
            [model.run_for(text, 12, options_for(model, **BEAMS, **asked), outputs=3) for text in PROMPTS]
            for asked in ({}, {"early_stopping": rule})
        )
        assert unset[0].options.early_stopping is None
        assert model.engine.batch_key(unset[0]) == model.engine.batch_key(same[0])
        assert_right(model, same, run_all(model.engine, same))
        got = run_all(model.engine, [*unset, *same])
        for mine, theirs in zip(unset, same, strict=True):
            assert [got.tokens(mine.id, n) for n in range(3)] == [got.tokens(theirs.id, n) for n in range(3)]


@pytest.mark.parametrize("early_stopping", [False, "never"])
def test_a_models_own_wish_is_left_out_and_the_settings_refused(
    engines: Mapping[str, Open], caplog: pytest.LogCaptureFixture, early_stopping: Any
) -> None:
    wish = Options.of({**BEAMS, "early_stopping": early_stopping})
    for name, kept in (("ctranslate2", None), ("transformers", early_stopping)):
        model = engines[name]("t5-untied")
        chosen = model_options("m", Options(), wish, model.engine.capabilities)
        assert (chosen.early_stopping, chosen.num_beams) == (kept, 3)
        model.engine.check(replace(model.run_for(PROMPTS[0]), options=chosen))
    (warning,) = [record.message for record in caplog.records if "early_stopping" in record.message]
    assert "which the engine ctranslate2 cannot do: left out" in warning
    with pytest.raises(ConfigurationError, match=r"model 'm': generation\.early_stopping"):
        model_options("m", wish, Options(), engines["ctranslate2"]("t5-untied").engine.capabilities)
