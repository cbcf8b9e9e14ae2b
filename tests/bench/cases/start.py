"""How soon a person has an answer."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from tests.bench.figures import Row, Theme, at_most
from tests.bench.setting import Setting
from tests.serving import running

THEME = Theme(
    title="Start",
    figure="seconds, median",
    beside=("lowest to highest",),
    how="`alcove --help` from the command to its end, and `alcove serve` with the built-in models from the command to "
    "the first answer of 200.",
)


def start(setting: Setting) -> list[Row]:
    setting.say("alcove --help, and alcove serve to the first answer")
    helps = [_help() for _ in range(setting.pick(9, 5))]
    answers = [_first_answer(setting.scratch) for _ in range(setting.pick(7, 3))]
    return [_row("`alcove serve`, to the first answer", answers, 2.0), _row("`alcove --help`", helps, 0.3)]


def _row(what: str, times: list[float], bar: float) -> Row:
    return Row(
        what=what,
        value=median(times),
        shown=f"{median(times):.2f}",
        bar=at_most(bar),
        beside=(f"{min(times):.2f} to {max(times):.2f}",),
    )


def _help() -> float:
    begun = time.perf_counter()
    subprocess.run([Path(sys.executable).parent / "alcove", "--help"], check=True, capture_output=True)
    return time.perf_counter() - begun


def _first_answer(scratch: Path) -> float:
    begun = time.perf_counter()
    with running("serve", cwd=scratch) as server:
        answer = server.post("/completions", {"model": "alcove-seq2seq", "prompt": "What's a nice reptile?"})
        ended = time.perf_counter()
    assert answer.status_code == 200
    return ended - begun
