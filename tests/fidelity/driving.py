"""Models of the zoo in an engine and in the oracle (`reference.py`), runs for them, and how the answers of both are
compared."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from alcove.config.settings import ModelSettings
from alcove.engines.base import BatchEngine, Vocabulary
from alcove.pipeline.options import model_options
from alcove.pipeline.tokenizer import load_tokenizer
from alcove.runs import Options, Run, Step, TokenLogprob
from alcove.store.convert import convert
from alcove.store.folder import ModelFolder
from alcove.store.recognise import recognise

from .reference import Reference, assert_same

GREEDY = Options(temperature=0.0, num_beams=1)
Folders = Callable[[str], Path]
"""A model's folder by its name."""
Load = Callable[[ModelFolder, ModelSettings, Vocabulary], BatchEngine]
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
        wishes = model_options(self.folder.path.name, Options(), own.options, self.engine.capabilities)
        return Run(
            id=f"run-{next(_numbers)}",
            tokens=self.reference.encode(text),
            max_new_tokens=max_new_tokens,
            options=options.over(wishes),
            **{"forced_bos": own.forced_bos, "forced_eos": own.forced_eos, **fields},
        )


Open = Callable[[str], Opened]


def open_all(load: Load, zoo: Folders, stored: Folders | None = None) -> Open:
    """`open_all(load, zoo)(name)` opens a model, once; `stored` has the engine's folders where they are others."""
    torch.set_num_threads(1)
    models: dict[str, Opened] = {}

    def open_once(name: str) -> Opened:
        if name not in models:
            folder = recognise((stored or zoo)(name))
            settings = ModelSettings(name=name, source=str(folder.path), device="cpu", threads=1, workers=1)
            tokenizer = load_tokenizer(folder, settings)
            engine = load(folder, settings, Vocabulary(tokenizer.source_tokens, tokenizer.target_tokens))
            models[name] = Opened(folder, engine, Reference(zoo(name)))
        return models[name]

    return open_once


def convert_all(zoo: Folders, root: Path) -> Folders:
    """`convert_all(zoo, root)(name)`: a model of the zoo in CTranslate2's layout, in float32; converted once."""

    def folder(name: str) -> Path:
        if not (root / name).exists():
            convert(zoo(name), root / name, "float32")
        return root / name

    return folder


class Collected:
    """A sink that keeps everything, and checks that each output ends once and is silent afterwards."""

    def __init__(self, leave_after: Mapping[str, int] | None = None) -> None:
        self.steps: dict[tuple[str, int], list[Step]] = {}
        self.batches: list[int] = []
        """Size of each batch that was run."""
        self._leave_after = leave_after or {}

    def flush(self) -> None:
        """Nothing is held."""

    def add(self, step: Step) -> bool:
        steps = self.steps.setdefault((step.run, step.output), [])
        assert not steps or steps[-1].finish is None
        steps.append(step)
        return len(self.tokens(step.run)) >= self._leave_after.get(step.run, 1000)

    def tokens(self, run: str, output: int = 0) -> tuple[int, ...]:
        return tuple(token for step in self.steps[run, output] for token in step.tokens)

    def logprobs(self, run: str, output: int = 0) -> tuple[TokenLogprob, ...]:
        return tuple(entry for step in self.steps[run, output] for entry in step.logprobs)

    def last(self, run: str, output: int = 0) -> Step:
        return self.steps[run, output][-1]


def run_all(engine: BatchEngine, runs: Iterable[Run], **collect: Any) -> Collected:
    """Run these to their ends, as the batcher does: what may share a batch does, what comes back goes on."""
    collected = Collected(**collect)
    waiting = list(runs)
    for run in waiting:
        engine.check(run)
    while waiting:
        key = engine.batch_key(waiting[0])
        batch = [run for run in waiting if engine.batch_key(run) == key]
        collected.batches.append(len(batch))
        waiting = [*engine.run(batch, collected), *(run for run in waiting if run not in batch)]
    return collected


def assert_right(model: Opened, runs: Iterable[Run], got: Collected, *, score_tolerance: float = 1e-4) -> None:
    """Tokens, scores and ends of all outputs are the oracle's."""
    for run in runs:
        for output, expected in enumerate(model.reference.answer(run)):
            assert_same(model.reference, run, got.tokens(run.id, output), expected)
            last = got.last(run.id, output)
            stopped = bool({*expected.tokens[-1:]} & {*(run.options.stop_token_ids or ())})
            at_limit = len(expected.tokens) + expected.ended == run.max_new_tokens
            cut = not expected.ended or (at_limit and run.forced_eos is not None and not stopped)
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
