"""What CTranslate2 lacks and alcove adds (choose at the callback, resume from the prefix) gives what transformers'
`generate` and forward give; so do log-probabilities."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from alcove.engines.ctranslate2 import engine as engine_module
from alcove.engines.ctranslate2 import load
from alcove.errors import InvalidRequest
from alcove.runs import Options, Run, TokenLogprob

from ..zoo.text import PROMPTS
from . import driving
from .driving import GREEDY, Collected, Folders, Open, Opened, convert_all, open_all, p_value, run_all

NAMES = ("t5-untied", "bart", "marian", "nllb", "gpt2", "llama")


@pytest.fixture(scope="module")
def opened(zoo: Folders, tmp_path_factory: pytest.TempPathFactory) -> Open:
    """`opened(name)`: a model of the zoo, converted, in the engine and the original in the oracle."""
    return open_all(load, zoo, convert_all(zoo, tmp_path_factory.mktemp("converted")))


def run_for(model: Opened, text: str, max_new_tokens: int = 16, options: Options = GREEDY, **fields: Any) -> Run:
    """Greedy where `options` do not say otherwise."""
    return model.run_for(text, max_new_tokens, options.over(GREEDY), **fields)


def runs_for(model: Opened, options: Options, **fields: Any) -> list[Run]:
    """One for each prompt, ending at different steps."""
    return [run_for(model, text, 20 - 4 * number, options, **fields) for number, text in enumerate(PROMPTS)]


def assert_right(model: Opened, runs: list[Run], got: Collected) -> None:
    """Tokens and ends are the oracle's, and log-probabilities where they are wanted, that of a model's end, too."""
    driving.assert_right(model, runs, got)
    for run in runs:
        if run.logprobs is None:
            continue
        tokens = got.tokens(run.id)
        if got.last(run.id).finish == "stop" and not {*tokens[-1:]} & {*(run.options.stop_token_ids or ())}:
            tokens += tuple(model.reference.ends)
        logs = model.reference.log_probabilities(run, tokens)
        assert_logprobs(got.logprobs(run.id), logs[len(logs) - len(tokens) :], tokens, run.logprobs)


def assert_logprobs(got: Sequence[TokenLogprob | None], logs: torch.Tensor, tokens: tuple[int, ...], top: int) -> None:
    """Within 1e-3; the same most probable tokens, ties at the edge apart."""
    for entry, expected, token in zip(got, logs, tokens, strict=True):
        assert entry is not None
        assert entry.logprob == pytest.approx(float(expected[token]), abs=1e-3)
        assert len(entry.top) == top
        edge = float(expected.topk(top + 1).values[-1]) if top else 0.0
        certain = {i for i in expected.topk(top).indices.tolist() if expected[i] > edge + 1e-4}
        assert certain <= {other for other, _ in entry.top}
        values = [value for _, value in entry.top]
        assert values == sorted(values, reverse=True)
        assert values == pytest.approx([float(expected[other]) for other, _ in entry.top], abs=1e-3)


OPTIONS: dict[str, Callable[[tuple[int, ...]], Options]] = {
    "none": lambda made: Options(),
    "logit_bias": lambda made: Options(logit_bias={made[0]: -6.0, made[2]: -3.5, 60: 2.5, 70: 3.0}),
    "allowed_token_ids": lambda made: Options(allowed_token_ids=tuple({*made[:3], 40, 50, 60, 70})),
    "bad_words_ids": lambda made: Options(bad_words_ids=((made[0],), (made[2], made[3]), (made[1], made[2], made[3]))),
    "suppress_tokens": lambda made: Options(extra={"suppress_tokens": [made[0], made[2]]}),
    "ignore_eos": lambda made: Options(ignore_eos=True),
    "min_new_tokens": lambda made: Options(min_new_tokens=12),
    "min_new_tokens and stops": lambda made: Options(min_new_tokens=5, stop_token_ids=(made[1], made[5])),
    "stop_token_ids": lambda made: Options(stop_token_ids=(made[3], 40)),
    "repetition_penalty": lambda made: Options(repetition_penalty=1.7),
    "presence_penalty": lambda made: Options(presence_penalty=1.9),
    "frequency_penalty": lambda made: Options(frequency_penalty=1.6),
    "negative penalties": lambda made: Options(presence_penalty=-1.2, frequency_penalty=-0.4),
    "no_repeat_ngram_size 1": lambda made: Options(no_repeat_ngram_size=1),
    "no_repeat_ngram_size 2": lambda made: Options(no_repeat_ngram_size=2),
    "all at once": lambda made: Options(
        logit_bias={made[0]: -6.0, 60: 2.5},
        allowed_token_ids=tuple(range(4, 90)),
        bad_words_ids=((made[1],), (made[2], made[3])),
        repetition_penalty=1.2,
        presence_penalty=0.5,
        frequency_penalty=0.3,
        no_repeat_ngram_size=3,
        min_new_tokens=4,
        stop_token_ids=(made[4],),
    ),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", OPTIONS)
def test_greedy_tokens_and_logprobs_are_those_of_the_reference(opened: Open, name: str, option: str) -> None:
    model = opened(name)
    # some of the zoo's models end at once on some prompt; options are made of an output that goes on
    plain = run_for(model, PROMPTS[0], 16, Options(ignore_eos=True))
    options = OPTIONS[option](run_all(model.engine, [plain]).tokens(plain.id))
    batched = [*runs_for(model, options, logprobs=5), *runs_for(model, options), *runs_for(model, options, logprobs=0)]
    assert_right(model, batched, run_all(model.engine, batched))
    for fields in ({"logprobs": 5}, {}):
        alone = run_for(model, PROMPTS[0], 16, options, **fields)
        assert_right(model, [alone], run_all(model.engine, [alone]))


def test_rows_of_one_call_have_their_own_options(opened: Open) -> None:
    model = opened("t5-untied")
    runs = [
        run_for(model, PROMPTS[1], 12, Options(logit_bias={40: 5.0}), logprobs=2),
        run_for(model, PROMPTS[1], 20, Options(presence_penalty=1.5), logprobs=2),
        run_for(model, PROMPTS[0], 20, Options(frequency_penalty=1.5, stop_token_ids=(31,)), logprobs=2),
    ]
    assert len({model.engine.batch_key(run) for run in runs}) == 1
    assert_right(model, runs, run_all(model.engine, runs))


def test_runs_that_need_no_choice_do_not_share_a_call_with_those_that_do(opened: Open) -> None:
    model = opened("t5-untied")
    options = [Options(), Options(logit_bias={40: 1.0}), Options(seed=3)]
    plain, biased, seeded = (model.engine.batch_key(run_for(model, PROMPTS[0], options=each)) for each in options)
    assert plain != biased
    assert plain == seeded  # greedy: a seed has no say


def test_a_rejected_token_gives_the_run_back_and_leaves_the_others_alone(opened: Open) -> None:
    model = opened("t5-untied")
    plain = run_for(model, PROMPTS[1], 12)
    made = run_all(model.engine, [plain]).tokens(plain.id)
    rejecting = run_for(model, PROMPTS[1], 12, Options(logit_bias={made[3]: -9.0}))
    going = run_for(model, PROMPTS[1], 12, Options(logit_bias={40: -9.0}))
    collected = Collected()
    (back,) = model.engine.run([rejecting, going], collected)
    assert back.id == rejecting.id
    assert back.made == collected.tokens(rejecting.id)
    assert len(back.made) == 4
    assert collected.last(going.id).finish is not None


@pytest.mark.parametrize("name", ["bart", "llama"])
def test_logits_that_would_not_fit_make_several_calls(opened: Open, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = opened(name)
    monkeypatch.setattr(engine_module, "LOGITS_BYTES", 60_000)
    runs = [run_for(model, PROMPTS[0], 16, logprobs=1) for _ in range(4)]
    assert model.engine.run(runs, Collected())
    assert_right(model, runs, run_all(model.engine, runs))


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("options", [Options(), Options(num_beams=3), Options(logit_bias={40: 6.0})])
def test_prompt_logprobs_of_a_causal_model(opened: Open, name: str, options: Options) -> None:
    model = opened(name)
    runs = [run_for(model, text, limit, options, prompt_logprobs=4) for text in PROMPTS for limit in (0, 6)]
    got = run_all(model.engine, runs)
    for run in runs:
        first, *later = got.steps[run.id, 0]
        assert not any(step.prompt_logprobs for step in later)
        assert first.prompt_logprobs[0] is None
        assert_logprobs(first.prompt_logprobs[1:], model.reference.log_probabilities(run), run.tokens[1:], 4)
        if not run.max_new_tokens:
            assert (first.finish, first.tokens) == ("length", ())


@pytest.mark.parametrize("name", ["t5-untied", "bart", "nllb"])
@pytest.mark.parametrize("options", [Options(), Options(min_new_tokens=4, ignore_eos=True, presence_penalty=1.0)])
def test_prompt_logprobs_of_a_decoders_prefix(opened: Open, name: str, options: Options) -> None:
    model = opened(name)
    forced_bos = 264 if name == "nllb" else model.folder.generation.forced_bos
    wanted = {"prompt_logprobs": 3, "forced_bos": forced_bos, "logprobs": 2}
    runs = [
        run_for(model, text, limit, options, prefix=prefix, **wanted)
        for text in PROMPTS
        for limit in (0, 6)
        for prefix in ((), (40,), (41, 50, 60))
    ]
    got = run_all(model.engine, runs)
    for run in runs:
        first, *later = got.steps[run.id, 0]
        assert not any(step.prompt_logprobs for step in later)
        assert_logprobs(first.prompt_logprobs, model.reference.log_probabilities(run), run.prefix, 3)
        if not run.max_new_tokens:
            assert (first.finish, first.tokens) == ("length", ())
    assert_right(model, [run for run in runs if run.max_new_tokens], got)


SAMPLED = Options(temperature=1.4, seed=5)


@pytest.mark.parametrize("name", ["t5-untied", "bart", "llama"])
def test_a_seed_repeats_alone_batched_and_resumed(opened: Open, name: str) -> None:
    model = opened(name)
    options = replace(SAMPLED, min_p=0.01, frequency_penalty=0.5)
    for text in PROMPTS[:2]:
        alone = run_for(model, text, 14, options)
        expected = run_all(model.engine, [alone])
        again = run_for(model, text, 14, options, logprobs=1)
        others = [run_for(model, other, 9 + n, replace(options, seed=n)) for n, other in enumerate(PROMPTS)]
        batched = run_all(model.engine, [*others, again])
        assert batched.tokens(again.id) == expected.tokens(alone.id)
        assert batched.last(again.id).finish == expected.last(alone.id).finish
        half = expected.tokens(alone.id)[:3]
        resumed = run_for(model, text, 14, options, made=half)
        assert half + run_all(model.engine, [resumed]).tokens(resumed.id) == expected.tokens(alone.id)
    outputs = [run_for(model, PROMPTS[0], 8, replace(options, seed=seed)) for seed in (0, 1, 2, -1, 2**80)]
    got = run_all(model.engine, outputs)
    assert len({got.tokens(run.id) for run in outputs}) == len(outputs)


@pytest.mark.parametrize(
    "options",
    [
        Options(temperature=1.0, seed=0),
        Options(temperature=0.7, top_k=12, top_p=0.9, seed=0),
        Options(temperature=1.2, min_p=0.05),
        Options(temperature=1.2, top_k=30, min_p=0.03),
        Options(temperature=0.8, typical_p=0.6),
        Options(temperature=1.0, top_p=0.8, logit_bias={40: 2.0, 31: -2.0, 50: 1.0}),
        Options(temperature=1.0, presence_penalty=1.5, frequency_penalty=0.5),
        Options(temperature=1.1, repetition_penalty=1.6, top_k=20),
        Options(temperature=1.0, allowed_token_ids=(31, 40, 41, 50, 60)),
        Options(temperature=1.0, bad_words_ids=((40,), (31, 41))),
    ],
    ids=lambda options: "-".join(options.given()),
)
@pytest.mark.parametrize("name", ["t5-untied", "gpt2"])
def test_sampled_tokens_have_the_wanted_distribution(opened: Open, name: str, options: Options) -> None:
    model = opened(name)
    made = (31, 40, 31)
    runs = [
        run_for(
            model,
            PROMPTS[0],
            len(made) + 1,
            options if options.seed is None else replace(options, seed=number),
            made=made,
            logprobs=0 if number % 2 else None,
        )
        for number in range(900)
    ]
    got = run_all(model.engine, runs)
    expected = model.reference.next_distribution(runs[0]) * len(runs)
    counts = torch.zeros_like(expected)
    for run in runs:
        counts[next(iter(got.tokens(run.id)), model.reference.ends[0])] += 1
    assert counts[expected == 0].sum() == 0
    assert p_value(counts, expected) > 1e-4


@pytest.mark.parametrize(
    ("options", "fields", "param"),
    [
        (Options(num_beams=2, logit_bias={40: 1.0}), {}, "logit_bias"),
        (Options(num_beams=2, allowed_token_ids=(40,)), {}, "allowed_token_ids"),
        (Options(num_beams=2, presence_penalty=1.0), {}, "presence_penalty"),
        (Options(num_beams=2, frequency_penalty=1.0), {}, "frequency_penalty"),
        (Options(num_beams=2, repetition_penalty=1.1), {}, "repetition_penalty"),
        (Options(num_beams=2, stop_token_ids=(40,)), {}, "stop_token_ids"),
        (Options(num_beams=2, ignore_eos=True), {}, "ignore_eos"),
        (Options(num_beams=2, temperature=0.5), {}, "temperature"),
        (Options(num_beams=2), {"logprobs": 1}, "logprobs"),
        (Options(num_beams=2, early_stopping="never"), {}, "early_stopping"),
        (Options(num_beams=2, early_stopping=False), {}, "early_stopping"),
        (Options(), {"outputs": 2}, "n"),
        (Options(temperature=1e-9), {}, "temperature"),
        (Options(presence_penalty=float("nan")), {}, "presence_penalty"),
        (Options(logit_bias={40: float("inf")}), {}, "logit_bias"),
        (Options(logit_bias={100_000: 1.0}), {}, "logit_bias"),
        (Options(stop_token_ids=(-1,)), {}, "stop_token_ids"),
        (Options(allowed_token_ids=(100_000,)), {}, "allowed_token_ids"),
        (Options(allowed_token_ids=()), {}, "allowed_token_ids"),
        (Options(temperature=1.0, min_p=1.5), {}, "min_p"),
        (Options(temperature=1.0, typical_p=0.0), {}, "typical_p"),
        (Options(repetition_penalty=0.0), {}, "repetition_penalty"),
        (Options(bad_words_ids=((True,),)), {}, "bad_words_ids"),
        (Options(extra={"suppress_tokens": "x"}), {}, "suppress_tokens"),
    ],
)
@pytest.mark.parametrize("name", ["t5-untied", "llama"])
def test_what_is_impossible_is_refused_by_name(
    opened: Open, name: str, options: Options, fields: dict[str, Any], param: str
) -> None:
    model = opened(name)
    with pytest.raises(InvalidRequest) as refused:
        model.engine.check(run_for(model, PROMPTS[0], 5, options, **fields))
    assert refused.value.param == param


def test_a_decoders_prefix_cannot_be_scored_without_a_source(opened: Open) -> None:
    """CTranslate2 does not run its model on a source without content."""
    model = opened("t5-untied")
    with pytest.raises(InvalidRequest, match="content"):
        model.engine.check(run_for(model, "", 0, prefix=(40,), prompt_logprobs=1))
