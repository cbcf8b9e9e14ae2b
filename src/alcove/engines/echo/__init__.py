"""An engine without weights: it answers each prompt with the prompt. Shipped, so that all of alcove but the
weights can be tried and tested without a model; what comes in and out is what any engine takes and gives.
"""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from alcove.config.settings import ModelSettings
from alcove.engines.base import BatchSink, Capabilities
from alcove.errors import ConfigurationError
from alcove.runs import Run, Step

_CERTAIN = "each token has probability 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoOptions:
    """`engine_options` of an echo model."""

    delay_s: float = 0.0
    """Time that each step of a batch takes."""
    fail_after: int | None = None
    """Raise after so many steps, to see what an engine's fault looks like from outside."""
    workers: int = 1
    """Batches at the same time."""


class EchoEngine:
    """Implements `BatchEngine`; a batch makes one token a row and step, as real engines do."""

    capabilities = Capabilities(engine="echo", options=dict.fromkeys(("temperature", "top_p", "top_k"), _CERTAIN))

    def __init__(self, options: EchoOptions) -> None:
        self._options = options
        self.workers = options.workers

    def check(self, run: Run) -> None:
        """Nothing to refuse: any id can be echoed."""

    def batch_key(self, run: Run) -> Hashable:
        """All runs may share a batch."""
        return None

    def run(self, runs: Sequence[Run], sink: BatchSink) -> None:
        """Echo each run's tokens, up to its limit."""
        live = list(runs)
        position = 0
        while live:
            if position == self._options.fail_after:
                raise RuntimeError("the echo engine was told to fail")
            if self._options.delay_s:
                time.sleep(self._options.delay_s)
            live = [run for run in live if not self._ended(run, position, sink)]
            position += 1

    def close(self) -> None:
        """Nothing to release."""

    @staticmethod
    def _ended(run: Run, position: int, sink: BatchSink) -> bool:
        if position == len(run.tokens):
            sink(Step(run=run.id, finish="stop"))
            return True
        last = position + 1 == run.max_new_tokens
        return sink(Step(run=run.id, tokens=(run.tokens[position],), finish="length" if last else None)) or last


def load(settings: ModelSettings) -> EchoEngine:
    """An echo engine with the model's `engine_options`; raises `ConfigurationError` on an unknown one."""
    try:
        options: dict[str, Any] = {"workers": settings.workers or 1, **settings.engine_options}
        return EchoEngine(EchoOptions(**options))
    except TypeError as error:
        known = ", ".join(EchoOptions.__dataclass_fields__)
        raise ConfigurationError(f"model '{settings.name}': engine_options of echo are {known} ({error})") from error
