"""alcove with an echo engine that notes when each step was handed on: `python -m tests.bench.timed_echo serve ...`.

When it ends, `$TIMED_ECHO` holds a line of JSON for each batch: its prompts, and the steps' times on the clock that all
processes of a machine share.
"""

import atexit
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

import alcove
from alcove.__main__ import main
from alcove.engines.base import BatchSink
from alcove.engines.echo import EchoEngine
from alcove.runs import Run, Step

_notes: list[tuple[list[Sequence[int]], list[float]]] = []
_run = EchoEngine.run


class _Noting:
    def __init__(self, sink: BatchSink, times: list[float]) -> None:
        self._sink, self._times = sink, times

    def add(self, step: Step) -> bool:
        return self._sink.add(step)

    def flush(self) -> None:
        self._times.append(time.perf_counter())
        self._sink.flush()


def _noted(self: Any, runs: Sequence[Run], sink: BatchSink) -> Sequence[Run]:
    times: list[float] = []
    _notes.append(([run.tokens for run in runs], times))
    return _run(self, runs, _Noting(sink, times))


def _write() -> None:
    tokenizer = Tokenizer.from_file(str(Path(alcove.__file__).parent / "builtin" / "echo" / "tokenizer.json"))
    lines = (json.dumps([[tokenizer.decode(list(ids)) for ids in prompts], times]) for prompts, times in _notes)
    Path(os.environ["TIMED_ECHO"]).write_text("\n".join(lines))


if __name__ == "__main__":
    EchoEngine.run = _noted  # type: ignore[method-assign]
    atexit.register(_write)
    main()
