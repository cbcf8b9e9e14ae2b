"""The transformers engine gives what transformers itself gives: tokens, counts, scores. Options of one batch that
differ, log-probabilities and sampling are in test_transformers_options.py."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alcove.engines.transformers import load
from alcove.runs import Options

from ..zoo.text import PROMPTS
from .driving import Opened, assert_right, open_all, run_all

FAMILIES = (
    *("t5", "t5-untied", "mt5", "umt5", "bart", "pegasus", "marian", "m2m100", "nllb", "mbart", "mbart50"),
    *("gpt2", "opt", "gpt-neox", "llama", "mistral", "qwen2", "qwen3", "gemma", "phi"),
)


@pytest.fixture(scope="module")
def opened(zoo: Callable[[str], Path]) -> Callable[[str], Opened]:
    """`opened(name)`: a model of the zoo in the engine and in the oracle."""
    return open_all(load, zoo)


@pytest.mark.parametrize("name", FAMILIES)
def test_greedy_is_that_of_generate_alone_and_batched(opened: Callable[[str], Opened], name: str) -> None:
    model = opened(name)
    runs = [model.run_for(text, max_new_tokens=30 - 4 * number) for number, text in enumerate(PROMPTS)]
    assert len({len(run.tokens) for run in runs}) > 2
    assert_right(model, runs, run_all(model.engine, runs))
    for run in runs[:2]:
        assert_right(model, [run], run_all(model.engine, [run]))


@pytest.mark.parametrize("name", FAMILIES)
def test_beam_outputs_and_scores_are_those_of_generate(opened: Callable[[str], Opened], name: str) -> None:
    model = opened(name)
    search = Options(temperature=0.0, num_beams=4)
    runs = [model.run_for(text, 12, search, outputs=3) for text in PROMPTS[:3]]
    assert_right(model, runs, run_all(model.engine, runs))


@pytest.mark.parametrize("name", ["t5-untied", "marian", "llama", "qwen2"])
@pytest.mark.parametrize("early_stopping", [False, True, "never"])
@pytest.mark.parametrize("length_penalty", [0.0, 2.5])
def test_beam_search_options(
    opened: Callable[[str], Opened], name: str, early_stopping: Any, length_penalty: float
) -> None:
    model = opened(name)
    search = Options(
        temperature=0.0, num_beams=2, length_penalty=length_penalty, extra={"early_stopping": early_stopping}
    )
    runs = [model.run_for(text, 16, search, outputs=2) for text in PROMPTS[:2]]
    assert_right(model, runs, run_all(model.engine, runs))


@pytest.mark.parametrize(
    ("name", "beams"), [("t5", 1), ("bart", 1), ("gpt2", 1), ("llama", 1), ("t5-untied", 2), ("gpt2", 2)]
)
@pytest.mark.parametrize(
    "option",
    [
        lambda made: {"no_repeat_ngram_size": 1},
        lambda made: {"no_repeat_ngram_size": 2},
        lambda made: {"repetition_penalty": 1.6},
        lambda made: {"min_new_tokens": min(len(made) + 3, 24)},
        lambda made: {"min_length": 24},
        lambda made: {"bad_words_ids": [[made[0]], [made[3], made[4]]]},
        lambda made: {"sequence_bias": [[[made[1]], -4.0], [[made[2], made[3]], -9.0]]},
        lambda made: {"suppress_tokens": [made[0], made[2]]},
        lambda made: {"exponential_decay_length_penalty": [3, 1.8]},
        lambda made: {"remove_invalid_values": True, "suppress_tokens": [made[1]], "renormalize_logits": True},
    ],
)
def test_options_act_as_in_generate(
    opened: Callable[[str], Opened], name: str, beams: int, option: Callable[[tuple[int, ...]], dict[str, Any]]
) -> None:
    model = opened(name)
    search = Options(temperature=0.0, num_beams=beams)
    plain = [model.run_for(text, 24, search) for text in PROMPTS[:3]]
    before = run_all(model.engine, plain)
    options = replace(Options.of(option(before.tokens(plain[0].id))), temperature=0.0, num_beams=beams)
    runs = [model.run_for(text, 24, options) for text in PROMPTS[:3]]
    after = run_all(model.engine, runs)
    assert_right(model, runs, after)
    if options.extra.keys() & {"bad_words_ids", "sequence_bias", "suppress_tokens"}:
        assert before.tokens(plain[0].id) != after.tokens(runs[0].id)


@pytest.mark.parametrize("option", [{"encoder_no_repeat_ngram_size": 1}, {"encoder_repetition_penalty": 2.0}])
def test_options_that_look_at_the_source(opened: Callable[[str], Opened], option: dict[str, Any]) -> None:
    model = opened("t5")
    runs = [model.run_for(text, 20, Options(temperature=0.0, num_beams=1, extra=option)) for text in PROMPTS]
    assert_right(model, runs, run_all(model.engine, runs))


@pytest.mark.parametrize("beams", [1, 3])
def test_rows_of_one_batch_have_their_own_target_languages(opened: Callable[[str], Opened], beams: int) -> None:
    model = opened("nllb")
    ids = model.reference.tokenizer.convert_tokens_to_ids(["fra_Latn", "deu_Latn", "jpn_Jpan"])
    search = Options(temperature=0.0, num_beams=beams)
    runs = [model.run_for(PROMPTS[1], 15, search, forced_bos=language) for language in ids]
    assert len({model.engine.batch_key(run) for run in runs}) == 1
    got = run_all(model.engine, runs)
    assert_right(model, runs, got)
    assert len({got.tokens(run.id) for run in runs}) > 1


def test_mbart_starts_from_its_target_language(opened: Callable[[str], Opened]) -> None:
    model = opened("mbart")
    french = model.reference.tokenizer.convert_tokens_to_ids("fr_XX")
    run = model.run_for(PROMPTS[1], 20, forced_bos=french)
    got = run_all(model.engine, [run])
    inputs = torch.tensor([run.tokens])
    expected = model.reference.model.generate(
        inputs, attention_mask=torch.ones_like(inputs), decoder_start_token_id=french, max_new_tokens=20
    )[0].tolist()
    assert expected[0] == french
    assert got.tokens(run.id) == tuple(token for token in expected[1:] if token != 2)


@pytest.mark.parametrize(("name", "limit"), [("bart", 1), ("bart", 6), ("marian", 6), ("mbart50", 3)])
@pytest.mark.parametrize("beams", [1, 2])
def test_the_last_token_is_forced_at_each_rows_own_limit(
    opened: Callable[[str], Opened], name: str, limit: int, beams: int
) -> None:
    model = opened(name)
    search = Options(temperature=0.0, num_beams=beams)
    runs = [model.run_for(PROMPTS[0], limit + more, search) for more in range(3)]
    assert all(run.forced_eos is not None for run in runs)
    got = run_all(model.engine, runs)
    assert_right(model, runs, got)
    assert [len(got.tokens(run.id)) for run in runs] == [limit - 1, limit, limit + 1]


@pytest.mark.parametrize("name", ["t5-untied", "bart", "nllb"])
def test_the_decoder_goes_on_from_a_prefix(opened: Callable[[str], Opened], name: str) -> None:
    model = opened(name)
    forced_bos = 264 if name == "nllb" else model.folder.generation.forced_bos
    runs = [
        model.run_for(text, 14, prefix=prefix, forced_bos=forced_bos)
        for text in PROMPTS
        for prefix in [(40,), (41, 50, 60)]
    ]
    got = run_all(model.engine, runs)
    assert_right(model, runs, got)
    assert len({got.tokens(run.id) for run in runs}) > 4


def test_a_row_that_nobody_wants_ends_and_leaves_the_others_alone(opened: Callable[[str], Opened]) -> None:
    model = opened("llama")
    runs = [model.run_for(text, 20) for text in PROMPTS]
    got = run_all(model.engine, runs, leave_after={runs[1].id: 3})
    assert len(got.tokens(runs[1].id)) == 3
    assert got.last(runs[1].id).finish is None
    assert_right(model, [run for run in runs if run is not runs[1]], got)


def test_a_batch_that_nobody_wants_ends_at_once(opened: Callable[[str], Opened]) -> None:
    model = opened("gpt2")
    runs = [model.run_for(text, 90) for text in PROMPTS[:2]]
    forwards = []
    hook = model.engine._model.register_forward_hook(lambda *_: forwards.append(1))  # type: ignore[attr-defined]
    try:
        run_all(model.engine, runs, leave_after={run.id: 2 for run in runs})
    finally:
        hook.remove()
    assert len(forwards) == 2
