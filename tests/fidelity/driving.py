"""Runs for an engine, what it gives for them, and how both are held against the oracle (`reference.py`)."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from alcove.engines.base import BatchEngine
from alcove.runs import DEFAULT_OPTIONS, Options, Run, Step
from alcove.store.folder import ModelFolder

from .reference import Reference, assert_same

GREEDY = Options(temperature=0.0, num_beams=1)
_numbers = itertools.count()


@dataclass
class Opened:
    """A model in an engine, and in the oracle."""

    folder: ModelFolder
    engine: BatchEngine
    reference: Reference

    def run_for(self, text: str, max_new_tokens: int = 24, options: Options = GREEDY, **fields: Any) -> Run:
        """A run with the model's own wishes below `options`, as the pipeline makes it."""
        own = self.folder.generation
        return Run(
            id=f"run-{next(_numbers)}",
            tokens=self.reference.encode(text),
            max_new_tokens=max_new_tokens,
            options=options.over(own.options).over(DEFAULT_OPTIONS),
            **{"forced_bos": own.forced_bos, "forced_eos": own.forced_eos, **fields},
        )


class Collected:
    """A sink that keeps everything, and checks that each output ends once and is silent afterwards."""

    def __init__(self, leave_after: Mapping[str, int] | None = None) -> None:
        self.steps: dict[tuple[str, int], list[Step]] = {}
        self._leave_after = leave_after or {}

    def __call__(self, step: Step) -> bool:
        steps = self.steps.setdefault((step.run, step.output), [])
        assert not steps or steps[-1].finish is None
        steps.append(step)
        return len(self.tokens(step.run)) >= self._leave_after.get(step.run, 1000)

    def tokens(self, run: str, output: int = 0) -> tuple[int, ...]:
        return tuple(token for step in self.steps[run, output] for token in step.tokens)

    def last(self, run: str, output: int = 0) -> Step:
        return self.steps[run, output][-1]


def run_all(engine: BatchEngine, runs: Iterable[Run], **collect: Any) -> Collected:
    """Run these in as few batches as their keys allow."""
    collected = Collected(**collect)
    batches: dict[Any, list[Run]] = {}
    for run in runs:
        engine.check(run)
        batches.setdefault(engine.batch_key(run), []).append(run)
    for batch in batches.values():
        engine.run(batch, collected)
    return collected


def assert_right(model: Opened, runs: Iterable[Run], got: Collected, *, score_tolerance: float = 1e-4) -> None:
    """Tokens, scores and ends of all outputs are the oracle's."""
    for run in runs:
        for output, expected in enumerate(model.reference.answer(run)):
            assert_same(model.reference, run, got.tokens(run.id, output), expected)
            last = got.last(run.id, output)
            at_limit = len(expected.tokens) + expected.ended == run.max_new_tokens
            cut = not expected.ended or (at_limit and run.forced_eos is not None)
            assert last.finish == ("length" if cut else "stop")
            if run.options.num_beams != 1:
                assert last.score == pytest.approx(expected.score, abs=score_tolerance)


def p_value(counts: torch.Tensor, expected: torch.Tensor) -> float:
    """Of a chi-square test; what is expected fewer than five times is taken together."""
    rare = expected < 5
    pairs = [(counts[~rare], expected[~rare]), (counts[rare].sum()[None], expected[rare].sum()[None])]
    seen, wanted = (torch.cat(column) for column in zip(*pairs, strict=True))
    seen, wanted = seen[wanted > 0], wanted[wanted > 0]
    statistic = ((seen - wanted) ** 2 / wanted).sum()
    return float(torch.special.gammaincc(torch.tensor((len(wanted) - 1) / 2), statistic / 2))
