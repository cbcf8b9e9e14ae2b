"""Tries a model on one token before it is called ready: what is broken is to fail at the start, not at a request."""

import math

from alcove.engines.base import Nobody, Vocabulary
from alcove.engines.transformers.engine import TransformersEngine
from alcove.errors import ModelLoadError
from alcove.runs import Run, Step
from alcove.store.folder import ModelFolder

MOST_BEYOND = 1.1
"""A tokenizer may have so many times the model's tokens: some have added a few for which there are no weights."""


class _First(Nobody):
    """Keeps what the model thinks of its token."""

    def __init__(self) -> None:
        self.logprobs: list[float] = []

    def add(self, step: Step) -> bool:
        self.logprobs += [known.logprob for known in step.logprobs]
        return True


def try_out(engine: TransformersEngine, folder: ModelFolder, vocabulary: Vocabulary) -> None:
    """Raises `ModelLoadError` when the model cannot make a token, its numbers are none, or the tokenizer is not its."""
    tokens, rows = max(len(vocabulary.source), len(vocabulary.target)), engine.ids.size
    if tokens > rows * MOST_BEYOND:
        raise ModelLoadError(
            f"{folder.path}: the tokenizer has {tokens} tokens, and the model {rows}: one of them is another model's"
        )
    first = _First()
    run = Run(id="trial", tokens=(engine.ids.size // 2,), max_new_tokens=1, logprobs=0)
    try:
        engine.run([run], first)
    except Exception as error:  # the weights may break torch in any way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelLoadError(f"{folder.path} cannot be run by transformers: {reason}") from error
    if not all(map(math.isfinite, first.logprobs)):
        raise ModelLoadError(
            f"{folder.path}: the weights give no numbers but NaN: download the model again, or choose another "
            "compute_type (not every model can be computed in float16)"
        )
