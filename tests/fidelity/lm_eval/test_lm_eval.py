"""EleutherAI's lm-evaluation-harness measures the same through the server as on the weights themselves."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from alcove.store.convert import convert

from ...serving import Server, running

HERE = Path(__file__).parent
TASKS = ("alcove_choices", "alcove_endings")
METRICS = ("acc,none", "acc_norm,none")
MODEL = "gpt2"
ENGINES = ("transformers", "ctranslate2")


@dataclass(frozen=True)
class Measured:
    """What one run of the harness found."""

    accuracies: dict[str, dict[str, float]]
    log_likelihoods: dict[str, list[list[float]]]
    """By task: of each item's continuations."""


@pytest.fixture(scope="module")
def server(zoo: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The model on both engines, named after them."""
    root = tmp_path_factory.mktemp("lm_eval_server")
    convert(zoo(MODEL), root / "converted", "float32")
    folders = {"transformers": zoo(MODEL), "ctranslate2": root / "converted"}
    models = (f'[[model]]\nname = "{engine}"\nsource = "{folder}"\nthreads = 1\n' for engine, folder in folders.items())
    (root / "alcove.toml").write_text("".join(models))
    with running("serve", cwd=root) as server:
        yield server


@pytest.fixture(scope="module")
def measured(
    server: Server, zoo: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Measured]:
    """By the engine's name; `hf` is the harness's own loading of the weights. All are measured at the same time."""
    folder = zoo(MODEL)
    root = tmp_path_factory.mktemp("lm_eval")
    models = {"hf": ("hf", f"pretrained={folder},dtype=float32,max_length=128")}
    for engine in ENGINES:
        where = f"model={engine},base_url={server.api}/completions,tokenizer={folder},tokenizer_backend=huggingface"
        models[engine] = ("local-completions", f"{where},max_length=128,num_concurrent=1,max_retries=1")
    harnesses = {name: start(kind, arguments, root / name) for name, (kind, arguments) in models.items()}
    try:
        said = {name: harness.communicate(timeout=120)[0] for name, harness in harnesses.items()}
    finally:
        for harness in harnesses.values():
            harness.kill()
    for name, harness in harnesses.items():
        assert harness.returncode == 0, said[name][-3000:]
    return {name: read(root / name) for name in harnesses}


def start(kind: str, arguments: str, out: Path) -> subprocess.Popen[str]:
    """The harness as a person would call it; nothing is downloaded."""
    offline = dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "OMP_NUM_THREADS"), "1")
    options = {"--model": kind, "--model_args": arguments, "--tasks": ",".join(TASKS), "--include_path": str(HERE)}
    options |= {"--device": "cpu", "--batch_size": "1", "--output_path": str(out)}
    words = [word for option in options.items() for word in option]
    return subprocess.Popen(
        [sys.executable, "-m", "lm_eval", "run", *words, "--log_samples"],
        cwd=HERE,  # the tasks name their data from here
        env={**os.environ, **offline, "HF_HOME": str(out / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read(out: Path) -> Measured:
    (results,) = (json.loads(path.read_text())["results"] for path in out.rglob("results_*.json"))
    accuracies = {task: {name: results[task][name] for name in METRICS if name in results[task]} for task in TASKS}
    log_likelihoods: dict[str, list[list[float]]] = {}
    for task in TASKS:
        (file,) = out.rglob(f"samples_{task}_*.jsonl")
        samples: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
        samples.sort(key=lambda sample: sample["doc_id"])
        log_likelihoods[task] = [[float(each[0][0]) for each in sample["resps"]] for sample in samples]
    return Measured(accuracies, log_likelihoods)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_harness_measures_the_same_accuracy(measured: dict[str, Measured], engine: str) -> None:
    assert measured["hf"].accuracies["alcove_choices"].keys() == set(METRICS)
    assert measured[engine].accuracies == measured["hf"].accuracies


@pytest.mark.parametrize("engine", ENGINES)
def test_the_harness_measures_the_same_log_likelihoods(measured: dict[str, Measured], engine: str) -> None:
    for task, expected in measured["hf"].log_likelihoods.items():
        assert len(expected) >= 6
        for mine, theirs in zip(measured[engine].log_likelihoods[task], expected, strict=True):
            assert mine == pytest.approx(theirs, abs=1e-2)
