"""The transformers engine honours every option a row: as transformers' own `generate` and `forward`, alone and in one
batch with rows that ask for something else."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alcove.engines.transformers import load
from alcove.runs import Options, Run, TokenLogprob

from ..zoo.text import PROMPTS
from .driving import GREEDY, Collected, Opened, assert_right, open_all, p_value, run_all

MODELS = ("t5-untied", "bart", "nllb", "gpt2", "llama")
Made = tuple[int, ...]
ASKED: Mapping[str, Callable[[Made], dict[str, Any]]] = {
    "logit_bias": lambda made: {"logit_bias": {made[0]: -100.0, made[2]: 3.5, 60: 1.0}},
    "allowed_token_ids": lambda made: {"allowed_token_ids": (*made[1:3], 40, 41, 50, 60)},
    "presence_penalty": lambda made: {"presence_penalty": 1.5},
    "frequency_penalty": lambda made: {"frequency_penalty": 0.8},
    "all penalties": lambda made: {
        "presence_penalty": 0.5, "frequency_penalty": -0.3, "repetition_penalty": 1.2, "no_repeat_ngram_size": 2,
    },
    "repetition_penalty": lambda made: {"repetition_penalty": 1.7},
    "no_repeat_ngram_size": lambda made: {"no_repeat_ngram_size": 1},
    "bad_words_ids": lambda made: {"bad_words_ids": ((made[0],), (made[3], made[4]))},
    "min_new_tokens": lambda made: {"min_new_tokens": 12},
    "ignore_eos": lambda made: {"ignore_eos": True},
    "stop_token_ids": lambda made: {"stop_token_ids": (made[2], 40)},
    "stop not before": lambda made: {"stop_token_ids": (made[0], made[1]), "min_new_tokens": 4},
    "bias and ban": lambda made: {"logit_bias": {made[1]: 9.0}, "suppress_tokens": [made[0]]},
    "min_length": lambda made: {"min_length": 14},
    "exponential_decay_length_penalty": lambda made: {"exponential_decay_length_penalty": [2, 1.5]},
    "sequence_bias": lambda made: {"sequence_bias": [[[made[1]], -4.0], [[made[2], made[3]], -9.0]]},
}  # fmt: skip
"""Options by what they are tested for, given what the model makes without them."""


@pytest.fixture(scope="module")
def opened(zoo: Callable[[str], Path]) -> Callable[[str], Opened]:
    """`opened(name)`: a model of the zoo in the engine and in the oracle."""
    return open_all(load, zoo)


def plain_output(model: Opened, text: str) -> Made:
    """What the model makes when nothing is asked, at least five tokens."""
    run = model.run_for(text, 16, GREEDY)
    return (*run_all(model.engine, [run]).tokens(run.id), 40, 41, 50, 60, 61)


def options_of(asked: dict[str, Any], beams: int = 1) -> Options:
    return Options.of({"temperature": 0.0, "num_beams": beams, **asked})


def mixed(model: Opened, **fields: Any) -> list[Run]:
    """Runs that differ in options, prompts, limits and seeds, and may share one batch."""
    runs = [
        model.run_for(
            PROMPTS[number % 4],
            10 + number,
            options_of(asked(plain_output(model, PROMPTS[number % 4]))),
            **fields,
        )
        for number, asked in enumerate(ASKED.values())
    ]
    sampled = [
        {"temperature": 0.9, "seed": 3},
        {"temperature": 1.4, "top_k": 9, "seed": 4},
        {"temperature": 1.4, "top_k": 9, "seed": -5},
        {"temperature": 0.8, "top_p": 0.8, "min_p": 0.01, "seed": 2**63, "repetition_penalty": 1.3},
    ]
    runs += [model.run_for(PROMPTS[n], 9 + n, options_of(asked), **fields) for n, asked in enumerate(sampled)]
    return [*runs, model.run_for(PROMPTS[1], 20, GREEDY, **fields)]


# ---- tokens


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize("name", MODELS)
def test_each_option_is_that_of_generate(
    opened: Callable[[str], Opened], name: str, asked: Callable[[Made], dict[str, Any]], beams: int
) -> None:
    model = opened(name)
    options = options_of(asked(plain_output(model, PROMPTS[0])), beams)
    runs = [model.run_for(text, 14, options, outputs=min(beams, 2)) for text in PROMPTS[:3]]
    got = run_all(model.engine, runs)
    assert got.batches == [3]
    assert_right(model, runs, got)
    if options.stop_token_ids and not options.min_new_tokens and beams == 1:
        stopped = [got.tokens(run.id) for run in runs if got.tokens(run.id)[-1] in options.stop_token_ids]
        assert stopped


@pytest.mark.parametrize("name", MODELS)
def test_rows_that_differ_in_everything_share_a_batch(opened: Callable[[str], Opened], name: str) -> None:
    model = opened(name)
    runs = mixed(model)
    got = run_all(model.engine, runs)
    assert got.batches == [len(runs)]
    greedy = [run for run in runs if not run.options.temperature]
    assert_right(model, greedy, got)
    for run in runs:
        alone = run_all(model.engine, [run])
        assert alone.tokens(run.id) == got.tokens(run.id)
        assert alone.last(run.id).finish == got.last(run.id).finish


@pytest.mark.parametrize("name", MODELS)
def test_a_run_goes_on_from_what_an_earlier_batch_has_made(opened: Callable[[str], Opened], name: str) -> None:
    model = opened(name)
    runs = mixed(model, logprobs=2)
    whole = run_all(model.engine, runs)
    rest = [replace(run, made=whole.tokens(run.id)[:3]) for run in runs if len(whole.tokens(run.id)) > 3]
    assert len(rest) > 12
    got = run_all(model.engine, rest)
    for run in rest:
        assert run.made + got.tokens(run.id) == whole.tokens(run.id)
        assert got.last(run.id).finish == whole.last(run.id).finish
        assert_near(got.logprobs(run.id), whole.logprobs(run.id)[3:])


@pytest.mark.parametrize("name", ["gpt2", "opt"])
def test_a_long_prompt_and_a_long_answer_in_one_batch_keep_to_the_positions(
    opened: Callable[[str], Opened], name: str
) -> None:
    """Rows that have ended are fed on; gpt2 and opt have no position for them behind the 128th."""
    model = opened(name)
    lasting = options_of({"ignore_eos": True})
    runs = [model.run_for(PROMPTS[1], limit, lasting) for limit in (3, 90)]
    runs[0] = replace(runs[0], tokens=(runs[0].tokens * 9)[:120])
    runs[1] = replace(runs[1], logprobs=0)
    got = run_all(model.engine, runs)
    assert got.batches == [2, 1]
    assert_right(model, runs, got)
    assert [len(got.tokens(run.id)) for run in runs] == [3, 90]
    assert len(got.logprobs(runs[1].id)) == 90


# ---- log-probabilities


def assert_near(got: tuple[TokenLogprob | None, ...], expected: tuple[TokenLogprob | None, ...]) -> None:
    assert len(got) == len(expected)
    for mine, theirs in zip(got, expected, strict=True):
        assert mine is not None
        assert theirs is not None
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-4)
        assert [token for token, _ in mine.top] == [token for token, _ in theirs.top]


def assert_logprobs(got: tuple[TokenLogprob | None, ...], tokens: Made, logs: torch.Tensor, top: int) -> None:
    """`logs`: (tokens, vocabulary), from a forward pass."""
    assert len(got) == len(tokens)
    for entry, token, expected in zip(got, tokens, logs, strict=True):
        assert entry is not None
        assert entry.logprob == pytest.approx(float(expected[token]), abs=1e-4)
        best = expected.topk(top)
        assert {other for other, _ in entry.top} == set(best.indices.tolist())
        assert [value for _, value in entry.top] == pytest.approx(best.values.tolist(), abs=1e-4)


def assert_output_logprobs(model: Opened, run: Run, got: Collected) -> None:
    for output in range(run.outputs):
        tokens = got.tokens(run.id, output)
        logs = model.reference.log_probabilities(run, tokens)
        entries = got.logprobs(run.id, output)
        assert len(entries) in (len(tokens), len(tokens) + 1)  # one more for the model's own end: test_families.py
        assert_logprobs(entries[: len(tokens)], tokens, logs[len(logs) - len(tokens) :], run.logprobs or 0)


@pytest.mark.parametrize("name", MODELS)
def test_log_probabilities_are_those_of_the_model_before_any_option(opened: Callable[[str], Opened], name: str) -> None:
    model = opened(name)
    runs = [replace(run, logprobs=number % 2 * 5) for number, run in enumerate(mixed(model))]
    runs.append(model.run_for(PROMPTS[2], 8, GREEDY))
    got = run_all(model.engine, runs)
    assert got.batches == [len(runs)]
    for run in runs[:-1]:
        assert_output_logprobs(model, run, got)
    assert not got.logprobs(runs[-1].id)
    alone = run_all(model.engine, runs[:1])
    assert_output_logprobs(model, runs[0], alone)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("name", MODELS)
def test_outputs_of_a_beam_search_have_log_probabilities(
    opened: Callable[[str], Opened], name: str, temperature: float
) -> None:
    model = opened(name)
    search = options_of({"temperature": temperature, "repetition_penalty": 1.2, "stop_token_ids": (40,)}, beams=3)
    runs = [model.run_for(text, 9, search, outputs=2, logprobs=5) for text in PROMPTS[:3]]
    got = run_all(model.engine, runs)
    for run in runs:
        assert_output_logprobs(model, run, got)


@pytest.mark.parametrize("limit", [0, 6])
@pytest.mark.parametrize("name", MODELS)
def test_what_is_given_is_scored_as_by_a_forward_pass(opened: Callable[[str], Opened], name: str, limit: int) -> None:
    model = opened(name)
    prefix = (41, 50, 60) if model.reference.seq2seq else ()
    runs = [
        model.run_for(text, limit, prefix=prefix, prompt_logprobs=top)
        for text, top in zip(PROMPTS, (5, 0, 1, 5), strict=True)
    ]
    runs.append(replace(runs[0], id="search", options=replace(runs[0].options, num_beams=2), outputs=2))
    runs.append(model.run_for(PROMPTS[0], 5, prefix=prefix))
    got = run_all(model.engine, runs)
    assert not got.steps[runs[-1].id, 0][0].prompt_logprobs
    for run in runs[:-1]:
        first, *others = got.steps[run.id, 0]
        given = first.prompt_logprobs
        if not model.reference.seq2seq:
            assert given[0] is None
            given = given[1:]
        logs = model.reference.log_probabilities(run)
        assert_logprobs(given, run.prefix or run.tokens[1:], logs, run.prompt_logprobs or 0)
        assert not any(step.prompt_logprobs for step in others)
        if not limit:
            assert all(got.steps[run.id, output][-1].finish == "length" for output in range(run.outputs))
            assert not got.tokens(run.id)
    if limit:
        assert_right(model, runs, got)


def test_an_encoder_decoder_without_a_prefix_was_given_nothing(opened: Callable[[str], Opened]) -> None:
    model = opened("bart")
    run = model.run_for(PROMPTS[0], 3, prompt_logprobs=2)
    assert run_all(model.engine, [run]).steps[run.id, 0][0].prompt_logprobs == ()


# ---- sampling

SAMPLED: Mapping[str, dict[str, Any]] = {
    "temperature": {"temperature": 0.6},
    "top_k": {"temperature": 1.1, "top_k": 12},
    "top_p": {"temperature": 1.3, "top_p": 0.7},
    "min_p": {"temperature": 0.9, "min_p": 0.02},
    "typical_p": {"temperature": 1.0, "typical_p": 0.6},
    "top_h": {"temperature": 1.0, "top_h": 0.5},
    "cutoffs": {"temperature": 1.0, "epsilon_cutoff": 0.004, "eta_cutoff": 0.01},
    "all cuts": {"temperature": 1.2, "top_k": 40, "top_p": 0.95, "min_p": 0.005, "typical_p": 0.9},
    "penalties": {
        "temperature": 1.0, "presence_penalty": 0.7, "frequency_penalty": 0.4, "repetition_penalty": 1.3, "top_p": 0.9,
    },
    "bias": {"temperature": 0.8, "logit_bias": {40: 4.0, 41: -3.0}, "top_k": 30},
    "allowed": {"temperature": 1.5, "allowed_token_ids": (40, 41, 50, 60, 61, 62)},
}  # fmt: skip


@pytest.mark.parametrize("asked", SAMPLED.values(), ids=SAMPLED)
@pytest.mark.parametrize("name", ["t5-untied", "nllb", "gpt2", "llama"])
def test_sampled_tokens_have_the_distribution_of_generate(
    opened: Callable[[str], Opened], name: str, asked: dict[str, Any]
) -> None:
    model, made, draws = opened(name), (40, 41, 41), 3000
    runs = [
        model.run_for(PROMPTS[0], 4, options_of({**asked, "seed": seed}), made=made, forced_eos=None)
        for seed in range(draws)
    ]
    expected = model.reference.next_distribution(runs[0]) * draws
    got = run_all(model.engine, runs)
    counts = torch.zeros(len(expected))
    for run in runs:
        counts[next(iter(got.tokens(run.id)), model.reference.ends[0])] += 1
    assert counts[expected == 0].sum() == 0
    assert p_value(counts, expected) > 1e-4


@pytest.mark.parametrize("name", ["bart", "llama"])
def test_the_seed_repeats_a_run_whatever_shares_its_batch(opened: Callable[[str], Opened], name: str) -> None:
    model = opened(name)

    def sampled(text: str, seed: int | None) -> Run:
        return model.run_for(text, 12, options_of({"temperature": 1.2, "seed": seed, "ignore_eos": True}))

    runs = [sampled(text, seed) for text in PROMPTS[:3] for seed in (0, 1, 2, None)]
    first, second = run_all(model.engine, runs), run_all(model.engine, runs[::-1])
    for run in runs:
        if run.options.seed is not None:
            assert first.tokens(run.id) == second.tokens(run.id)
            assert run_all(model.engine, [run]).tokens(run.id) == first.tokens(run.id)
        else:
            assert first.tokens(run.id) != second.tokens(run.id)
    assert len({first.tokens(run.id) for run in runs}) == len(runs)
