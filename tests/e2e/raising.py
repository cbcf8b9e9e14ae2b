"""alcove that fails where it is asked to: `python -m tests.e2e.raising serve ...`.

A prompt with "break the preparing" or "break the batch" is met by an exception that tells all that it knows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

import alcove
from alcove.__main__ import main
from alcove.engines.base import BatchSink
from alcove.engines.echo import EchoEngine
from alcove.pipeline.prepare import Preparer
from alcove.runs import Run

_prepare, _run = Preparer.prepare, EchoEngine.run
_tokenizer = Tokenizer.from_file(str(Path(alcove.__file__).parent / "builtin" / "echo" / "tokenizer.json"))


def _preparing(self: Any, jobs: Sequence[Any], *arguments: Any, **more: Any) -> Any:
    if "break the preparing" in str(jobs):
        raise ValueError(f"cannot make anything of {jobs}")
    return _prepare(self, jobs, *arguments, **more)


def _running(self: Any, runs: Sequence[Run], sink: BatchSink) -> Sequence[Run]:
    if any("break the batch" in _tokenizer.decode(list(run.tokens)) for run in runs):
        raise RuntimeError(f"cannot run {len(runs)}")
    return _run(self, runs, sink)


if __name__ == "__main__":
    Preparer.prepare = _preparing  # type: ignore[method-assign]
    EchoEngine.run = _running  # type: ignore[method-assign]
    main()
