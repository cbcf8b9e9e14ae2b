"""A process border in between changes nothing: the same runs, on each engine here and in a process of its own."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alcove.config.settings import ModelSettings
from alcove.engines.base import Engine, Vocabulary
from alcove.engines.faults import fault_of
from alcove.errors import InvalidRequest
from alcove.pipeline.cores import Cores
from alcove.pipeline.isolated import open_isolated
from alcove.pipeline.serving import open_serving
from alcove.pipeline.tokenizer import load_tokenizer
from alcove.runs import DEFAULT_OPTIONS, Run, Step
from alcove.store.convert import convert
from alcove.store.recognise import recognise

WORDS = tuple(range(20, 29))


def a_run(name: str, options: dict[str, Any], **more: Any) -> Run:
    options = {**options, "extra": options.get("extra", {})}
    return Run(id=name, tokens=WORDS, **{"max_new_tokens": 12, **more}, options=replace(DEFAULT_OPTIONS, **options))


RUNS = {
    "greedy": a_run("greedy", {}),
    "sampled": a_run("sampled", {"temperature": 1.3, "top_p": 0.9, "top_k": 30, "seed": 7}),
    "beams": a_run("beams", {"num_beams": 3, "length_penalty": 0.7}, outputs=2),
    "told": a_run("told", {"logit_bias": {30: 3.0, 31: -50.0}, "presence_penalty": 0.5}, logprobs=3),
    "barred": a_run("barred", {"bad_words_ids": ((40, 41), (50,)), "stop_token_ids": (60,), "min_new_tokens": 4}),
    "chosen": a_run("chosen", {"allowed_token_ids": (30, 31, 32, 33), "repetition_penalty": 1.2}),
    "given": a_run("given", {}, prompt_logprobs=2, logprobs=0),
    "refused": a_run("refused", {"allowed_token_ids": ()}),
    "unknown": replace(a_run("unknown", {}), tokens=(10**6,)),
}


def steps_of(engine: Engine, run: Run) -> list[Step]:
    """All that comes of a run."""
    ended, left, steps = threading.Event(), {*range(run.outputs)}, list[Step]()

    def sink(news: Sequence[Step]) -> None:
        for step in news:
            steps.append(step)
            if step.finish is not None:
                left.discard(step.output)
            if step.error is not None or not left:
                ended.set()

    engine.submit([run], sink)
    assert ended.wait(60)
    return [step for step in steps if not step.began]


def told(engine: Engine, runs: Sequence[Run]) -> dict[str, Any]:
    """What these runs come to, one after the other, by run and output."""
    found: dict[str, Any] = {}
    for run in runs:
        steps = steps_of(engine, run)
        for output in range(run.outputs):
            its = [step for step in steps if step.output == output]
            found[f"{run.id}/{output}"] = (
                [token for step in its for token in step.tokens],
                [known for step in its for known in step.logprobs],
                [known for step in its for known in step.prompt_logprobs],
                its[-1].finish,
                its[-1].score,
                its[-1].fault,
            )
    return found


class Checked:
    """An engine here that refuses as the child does: by the run's end."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def submit(self, runs: Sequence[Run], sink: Any) -> None:
        try:
            for run in runs:
                self._engine.check(run)
            self._engine.submit(runs, sink)
        except InvalidRequest as error:
            sink([Step(run=run.id, error=str(error), fault=fault_of(error)) for run in runs])


@pytest.mark.parametrize(
    ("family", "layout", "options"),
    [
        ("t5", "ctranslate2", {}),
        ("llama", "ctranslate2", {}),
        ("t5", "transformers", {}),
        ("llama", "transformers", {"continuous_batching": True}),
    ],
)
def test_the_same_comes_out(
    zoo: Callable[[str], Path], tmp_path: Path, family: str, layout: str, options: dict[str, Any]
) -> None:
    path = zoo(family)
    if layout == "ctranslate2":
        convert(path, tmp_path / family, "float32")
        path = tmp_path / family
    settings = ModelSettings(name="m", source=str(path), device="cpu", threads=1, workers=1, engine_options=options)
    folder = recognise(path)
    tokenizer = load_tokenizer(folder, settings)
    vocabulary = Vocabulary(tokenizer.source_tokens, tokenizer.target_tokens)
    runs = [run for name, run in RUNS.items() if name != "given" or folder.kind == "causal"]
    here = open_serving(folder, settings, vocabulary, Cores(1))
    isolated = open_isolated(folder, settings, vocabulary, pytest.fail)
    try:
        assert isolated.capabilities.options == here.capabilities.options
        mine, its = told(Checked(here), runs), told(isolated, runs)  # type: ignore[arg-type]
    finally:
        here.close()
        isolated.close()
    assert its == mine
    assert {name for name, outcome in its.items() if outcome[-1] is not None} == {"refused/0", "unknown/0"}
    assert its["beams/1"][3] is not None
