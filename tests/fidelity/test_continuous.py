"""Continuous batching gives what transformers' own `generate` gives, whatever joins and leaves meanwhile."""

import asyncio
import dataclasses
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from alcove.config.settings import ModelSettings
from alcove.engines.base import BatchEngine, Engine, Vocabulary
from alcove.engines.registry import open_beside
from alcove.engines.transformers import load
from alcove.engines.transformers.continuous.engine import ContinuousEngine
from alcove.errors import ModelLoadError, Overloaded, ShuttingDown
from alcove.jobs import Job
from alcove.metrics import Metrics
from alcove.pipeline.batcher import Batcher
from alcove.pipeline.cores import Cores
from alcove.pipeline.model import Model
from alcove.pipeline.routed import Routed
from alcove.runs import Options, Run, Step
from alcove.store.recognise import recognise

from ..zoo.text import PROMPTS
from .driving import Collected, Opened, assert_right, p_value
from .reference import Reference

CAUSAL = ("gpt2", "opt", "gpt-neox", "llama", "mistral", "qwen2", "qwen3", "gemma", "phi")
GREEDY = Options(temperature=0.0, num_beams=1, repetition_penalty=1.0)
SECONDS = 30.0


class Steps(Collected):
    """A sink of any engine's runs, that one can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[str]] = []
        """The runs of each call."""
        self.errors: dict[str, str] = {}
        self.ended: set[str] = set()
        self._changed = threading.Condition()

    def __call__(self, steps: Sequence[Step]) -> None:
        with self._changed:
            self.calls.append([step.run for step in steps])
            for step in steps:
                assert step.run not in self.ended or step.output, "a run ends once"
                if step.error is not None:
                    self.errors[step.run] = step.error
                elif not step.began:
                    self.add(step)
                if step.error is not None or step.finish is not None:
                    self.ended.add(step.run)
            self._changed.notify_all()

    def wait(self, runs: Sequence[Run]) -> None:
        """Until these have ended."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.ended >= {run.id for run in runs}, SECONDS), "no end"

    def wait_for_tokens(self, run: Run, count: int) -> None:
        with self._changed:
            ready = lambda: (run.id, 0) in self.steps and len(self.tokens(run.id)) >= count  # noqa: E731
            assert self._changed.wait_for(ready, SECONDS), "no tokens"


@dataclass
class Both(Opened):
    """A model in closed batches, in continuous ones, and in the oracle."""

    continuous: ContinuousEngine


def open_both(folder: Path, table: Any = True, **settings: Any) -> tuple[BatchEngine, ContinuousEngine | None]:
    asked = ModelSettings(
        name="m", source=str(folder), device="cpu", threads=1, engine_options={"continuous_batching": table}, **settings
    )
    found = recognise(folder)
    closed = load(found, asked, Vocabulary((), ()))
    beside = open_beside(closed, found, asked)
    assert beside is None or isinstance(beside, ContinuousEngine)
    return closed, beside


@pytest.fixture(scope="module")
def opened(zoo: Callable[[str], Path]) -> Iterator[Callable[..., Both]]:
    """`opened(name)`: a model of the zoo; `fresh=True` for a test that breaks or fills it."""
    models: dict[str, Both] = {}
    all_of_them: list[Both] = []

    def open_model(name: str, *, fresh: bool = False, **asked: Any) -> Both:
        if fresh or name not in models:
            closed, continuous = open_both(zoo(name), **asked)
            assert continuous is not None
            model = Both(recognise(zoo(name)), closed, Reference(zoo(name)), continuous)
            all_of_them.append(model)
            if fresh:
                return model
            models[name] = model
        return models[name]

    torch.set_num_threads(1)
    yield open_model
    for model in all_of_them:
        model.continuous.close()


def go(engine: Engine, runs: Sequence[Run]) -> Steps:
    """Submit these, each by itself, and wait for their ends."""
    steps = Steps()
    for run in runs:
        engine.check(run)
        engine.submit([run], steps)
    steps.wait(runs)
    assert not steps.errors
    return steps


# ---- answers


@pytest.mark.parametrize("name", CAUSAL)
def test_runs_that_join_at_any_time_are_those_of_generate(opened: Callable[..., Both], name: str) -> None:
    model = opened(name)
    runs = [model.run_for(PROMPTS[n % len(PROMPTS)][: 6 + 7 * n], 6 + 3 * (n % 7), GREEDY) for n in range(16)]
    assert all(map(model.continuous.takes, runs))
    steps = Steps()
    for number, run in enumerate(runs):
        if number in (4, 9, 13):
            steps.wait_for_tokens(runs[number - 1], 2)
        model.continuous.submit([run], steps)
    steps.wait(runs)
    assert not steps.errors
    assert_right(model, runs, steps)
    ends = {steps.last(run.id).finish for run in runs}
    assert ends == {"length", "stop"} or name in ("mistral", "opt", "qwen3")
    assert max(map(len, steps.calls)) > 4, "the news of a step go out at once"


OPTIONS = {
    "penalties": Options(repetition_penalty=1.4, presence_penalty=0.5, frequency_penalty=0.3),
    "bias": Options(logit_bias={9: 30.0, 11: 29.0}, no_repeat_ngram_size=1),
    "least": Options(min_new_tokens=12),
    "no end": Options(ignore_eos=True),
    "bans": Options(bad_words_ids=((20,), (30, 31)), allowed_token_ids=tuple(range(10, 90))),
    "plain": Options(),
}


def test_options_are_each_rows_own(opened: Callable[..., Both]) -> None:
    model = opened("gpt2")
    runs = [model.run_for(text, 16, options.over(GREEDY)) for options in OPTIONS.values() for text in PROMPTS[:3]]
    assert all(map(model.continuous.takes, runs))
    steps = go(model.continuous, runs)
    assert_right(model, runs, steps)
    stop = steps.tokens(runs[-1].id)[3]
    stopped = model.run_for(PROMPTS[2], 16, Options(stop_token_ids=(stop,)).over(GREEDY))
    assert_right(model, [stopped], go(model.continuous, [stopped]))


def test_log_probabilities_are_the_models_own(opened: Callable[..., Both]) -> None:
    model = opened("llama")
    options = [GREEDY, Options(repetition_penalty=1.5).over(GREEDY)]
    runs = [model.run_for(text, 10, wish, logprobs=3) for wish in options for text in PROMPTS]
    steps = go(model.continuous, runs)
    assert_right(model, runs, steps)
    for run in runs:
        made, entries = steps.tokens(run.id), steps.logprobs(run.id)
        assert len(entries) == len(made) + (steps.last(run.id).finish == "stop")
        for place, (token, entry) in enumerate(zip(made, entries, strict=False)):
            logs = model.reference.next_log_probabilities(run, made[:place])
            assert entry.logprob == pytest.approx(float(logs[token]), abs=1e-4)
            assert [value for _, value in entry.top] == pytest.approx(logs.topk(3).values.tolist(), abs=1e-4)


def test_a_seed_draws_what_it_draws_in_closed_batches(opened: Callable[..., Both]) -> None:
    model = opened("qwen2")
    sampled = Options(temperature=1.3, top_k=40, top_p=0.95, min_p=0.001).over(GREEDY)
    runs = [model.run_for(text, 14, dataclasses.replace(sampled, seed=n)) for n, text in enumerate(PROMPTS * 2)]
    alone = Steps()
    for run in runs:
        alone.batches.append(1)
        assert not model.engine.run([run], alone)
    steps = go(model.continuous, runs)
    assert [steps.tokens(run.id) for run in runs] == [alone.tokens(run.id) for run in runs]
    assert len({steps.tokens(run.id) for run in runs}) > 4


def test_draws_have_the_distribution_of_generate(opened: Callable[..., Both]) -> None:
    model = opened("llama")
    options = Options(temperature=0.8, top_p=0.9, top_k=20, seed=None).over(GREEDY)
    draws = 1500
    runs = [model.run_for(PROMPTS[0], 1, options) for _ in range(draws)]
    steps = Steps()
    model.continuous.submit(runs, steps)
    steps.wait(runs)
    firsts = Counter(token for run in runs for token in steps.tokens(run.id)[:1])
    expected = model.reference.next_distribution(runs[0]) * draws
    ends = [token for token in model.reference.ends if expected[token] > 0]
    counts = torch.zeros_like(expected)
    for token, count in firsts.items():
        counts[token] = count
    if ends:
        counts[ends[0]] = draws - sum(firsts.values())
    assert p_value(counts, expected) > 1e-3


def test_both_engines_answer_at_the_same_time(opened: Callable[..., Both]) -> None:
    model = opened("llama", fresh=True)
    batcher = Batcher(model.engine, Cores(2), max_queue=64, max_batch_size=8, max_batch_tokens=4096)
    both = Routed(model.continuous, batcher)
    beams = Options(num_beams=3).over(GREEDY)
    runs = [
        run
        for text in PROMPTS * 2
        for run in (
            model.run_for(text, 20, GREEDY),
            model.run_for(text, 12, beams, outputs=2),
            model.run_for(text, 9, GREEDY, logprobs=2, prompt_logprobs=2),
            model.run_for(text, 9, OPTIONS["penalties"].over(GREEDY)),
        )
    ]
    assert {model.continuous.takes(run) for run in runs} == {True, False}
    steps = go(both, runs)
    time.sleep(0.05)  # a beam search's second output comes with the first, in the same call
    assert_right(model, runs, steps)
    for run in runs:
        if run.prompt_logprobs is not None:
            given = steps.steps[run.id, 0][0].prompt_logprobs
            logs = model.reference.log_probabilities(run)
            wanted = [float(logs[place, token]) for place, token in enumerate(run.tokens[1:])]
            assert [entry.logprob for entry in given[1:] if entry] == pytest.approx(wanted, abs=1e-4)
    assert model.engine._model.config._attn_implementation == "sdpa"  # type: ignore[attr-defined]
    both.close()
    assert model.engine._model is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_closed_batches_keep_their_attention_and_the_weights_are_shared(
    opened: Callable[..., Both], zoo: Callable[[str], Path], attention: str
) -> None:
    table = {"model": {"attn_implementation": attention}, "continuous_batching": True}
    asked = ModelSettings(name="m", source=str(zoo("llama")), device="cpu", threads=1, engine_options=table)
    folder = recognise(zoo("llama"))
    closed = load(folder, asked, Vocabulary((), ()))
    beside = open_beside(closed, folder, asked)
    assert isinstance(beside, ContinuousEngine)
    model = opened("llama")
    runs = [model.run_for(text, 12, GREEDY) for text in PROMPTS]
    assert_right(model, runs, go(beside, runs))
    mine, theirs = closed._model, beside._model  # type: ignore[attr-defined]
    assert mine.config._attn_implementation == attention
    assert theirs.config is not mine.config
    assert all(a is b for a, b in zip(mine.parameters(), theirs.parameters(), strict=True))
    beside.close()
    assert mine.config._attn_implementation == attention


# ---- the cache


def test_a_shared_beginning_is_read_once_and_changes_nothing(opened: Callable[..., Both]) -> None:
    model = opened("llama", fresh=True)
    beginning = tuple(range(20, 80)) * 2
    runs = [
        dataclasses.replace(model.run_for(text, 12, GREEDY), tokens=(*beginning, *model.reference.encode(text)))
        for text in PROMPTS[:3]
    ]
    read: list[int] = []
    hook = model.continuous._model.register_forward_pre_hook(
        lambda _, __, arguments: read.append(arguments["input_ids"].shape[1]), with_kwargs=True
    )
    assert_right(model, runs[:1], go(model.continuous, runs[:1]))
    assert max(read) >= 120
    read.clear()
    assert_right(model, runs[1:], go(model.continuous, runs[1:]))
    hook.remove()
    assert max(read) < 120, "whole pages of the beginning are there already"


def test_a_full_cache_changes_nothing(opened: Callable[..., Both]) -> None:
    model = opened("gpt2", fresh=True, table={"cache_tokens": 128, "max_batch_tokens": 48})
    runs = [model.run_for(PROMPTS[n % 4], 40, GREEDY) for n in range(12)]
    assert all(map(model.continuous.takes, runs))
    assert_right(model, runs, go(model.continuous, runs))
    too_long = dataclasses.replace(runs[0], max_new_tokens=120)
    assert not model.continuous.takes(too_long)


# ---- limits, leaving, failing, closing


def test_who_leaves_frees_a_place(opened: Callable[..., Both]) -> None:
    model = opened("llama", fresh=True, max_batch_size=2, max_queue=1)
    endless = Options(ignore_eos=True).over(GREEDY)
    first, second, third, fourth, fifth = (model.run_for(PROMPTS[n % 4], 200, endless) for n in range(5))
    steps = Steps()
    for run in (first, second):
        model.continuous.submit([run], steps)
        steps.wait_for_tokens(run, 1)
    model.continuous.submit([third], steps)
    with pytest.raises(Overloaded):
        model.continuous.submit([fourth], steps)
    model.continuous.cancel(first.id)
    model.continuous.cancel("unknown")
    steps.wait_for_tokens(third, 3)
    had = len(steps.tokens(first.id))
    model.continuous.submit([fifth], steps)
    model.continuous.cancel(second.id)
    steps.wait([third, fifth])
    assert len(steps.tokens(first.id)) == had
    assert first.id not in steps.ended
    assert_right(model, [third, fifth], steps)
    assert not model.continuous._places


def test_a_failure_ends_every_run_and_the_next_request_begins_anew(
    opened: Callable[..., Both], caplog: pytest.LogCaptureFixture
) -> None:
    model = opened("llama", fresh=True)
    endless = Options(ignore_eos=True).over(GREEDY)
    runs = [model.run_for(text, 200, endless) for text in PROMPTS]
    steps = Steps()
    model.continuous.submit(runs, steps)
    steps.wait_for_tokens(runs[0], 3)

    def fail(*_: object) -> None:
        raise RuntimeError("out of memory, say")

    hook = model.continuous._model.register_forward_pre_hook(fail)
    steps.wait(runs)
    assert set(steps.errors) == {run.id for run in runs}
    assert "out of memory, say" in steps.errors[runs[0].id]
    again = model.run_for(PROMPTS[0], 8, GREEDY)
    steps = Steps()
    model.continuous.submit([again], steps)
    steps.wait([again])
    assert steps.errors.keys() == {again.id}
    hook.remove()
    again = model.run_for(PROMPTS[0], 8, GREEDY)
    assert_right(model, [again], go(model.continuous, [again]))
    assert "begins anew" in caplog.text


def test_a_step_that_hangs_is_silence_even_when_nobody_waits_for_it(opened: Callable[..., Both]) -> None:
    model = opened("llama", fresh=True)
    run = model.run_for(PROMPTS[0], 8, GREEDY)
    hangs, go_on = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        hangs.set()
        go_on.wait(SECONDS)

    hook = model.continuous._model.register_forward_pre_hook(hang)
    assert model.continuous.silent_s == 0
    model.continuous.submit([run], Steps())
    assert hangs.wait(SECONDS)
    model.continuous.cancel(run.id)
    time.sleep(0.1)
    assert 0.1 <= model.continuous.silent_s < SECONDS
    hook.remove()
    go_on.set()
    again = model.run_for(PROMPTS[1], 8, GREEDY)
    assert_right(model, [again], go(model.continuous, [again]))
    until = time.monotonic() + SECONDS
    while model.continuous.silent_s:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_close_ends_all_once(opened: Callable[..., Both]) -> None:
    loops = lambda: sum(thread.name == "alcove-continuous" for thread in threading.enumerate())  # noqa: E731
    others = loops()
    model = opened("gpt-neox", fresh=True)
    endless = Options(ignore_eos=True).over(GREEDY)
    runs = [model.run_for(text, 100, endless) for text in PROMPTS * 3]
    steps = Steps()
    model.continuous.submit(runs, steps)
    steps.wait_for_tokens(runs[0], 2)
    begun = time.monotonic()
    model.continuous.close()
    assert time.monotonic() - begun < 5
    assert steps.ended == {run.id for run in runs}
    assert all("stopping" in error for error in steps.errors.values())
    with pytest.raises(ShuttingDown):
        model.continuous.submit([runs[0]], steps)
    assert loops() == others
    model.continuous.close()


def test_a_model_is_served_by_both(zoo: Callable[[str], Path]) -> None:
    async def answers() -> list[str]:
        settings = ModelSettings(
            name="m", source=str(zoo("llama")), device="cpu", threads=1, engine_options={"continuous_batching": True}
        )
        loop = asyncio.get_running_loop()
        model = Model.load(recognise(zoo("llama")), settings, Metrics(), Cores(2), loop, pytest.fail)
        texts = []
        for options in (Options(temperature=0.0), Options(temperature=0.0, num_beams=2)):
            job = Job(prompt=PROMPTS[0], param="prompt", options=options, max_tokens=8)
            texts.append("".join([event.text async for events in model.answer([job]) for event in events]))
        model.close()
        return texts

    assert all(asyncio.run(answers()))


# ---- what may not be


def test_an_encoder_decoder_is_refused(zoo: Callable[[str], Path]) -> None:
    with pytest.raises(ModelLoadError, match=r"engine_options\.continuous_batching: .*t5 is an encoder-decoder"):
        open_both(zoo("t5"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("yes", "must be true, false or a table"),
        ({"num_blocks": 4}, r"continuous_batching\.num_blocks: unknown"),
        ({"cache_tokens": 3}, r"continuous_batching\.cache_tokens: must be a whole number"),
        ({"max_batch_tokens": True}, r"continuous_batching\.max_batch_tokens: must be"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(zoo: Callable[[str], Path], table: Any, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        open_both(zoo("gpt2"), table)


def test_it_is_off_where_nobody_asks_for_it(zoo: Callable[[str], Path]) -> None:
    assert open_both(zoo("gpt2"), False)[1] is None


def test_a_model_that_answers_otherwise_falls_back_with_one_line(
    zoo: Callable[[str], Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alcove.engines.transformers.continuous import attention

    # as a model would that does not look at its packed cache
    monkeypatch.setattr(attention, "sdpa_attention_forward", lambda _, query, *__, **___: (query.transpose(1, 2), None))
    with caplog.at_level(logging.WARNING):
        _, continuous = open_both(zoo("llama"))
    assert continuous is None
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.endswith("(its answers are others than in closed batches); closed batches it is")
