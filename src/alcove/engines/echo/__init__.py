"""An engine without weights: it answers each prompt with the prompt. Shipped, so that all of alcove but the
weights can be tried and tested without a model; what comes in and out is what any engine takes and gives.
"""

import signal
import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from alcove.config.settings import ModelSettings
from alcove.engines.base import BatchSink, Capabilities
from alcove.errors import ConfigurationError
from alcove.runs import FinishReason, Run, Step, TokenLogprob

_CERTAIN = "each token has probability 1"
_AGAIN = "the prompt begins again"
_OPTIONS = {
    **dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "typical_p", "seed"), _CERTAIN),
    **dict.fromkeys(("presence_penalty", "frequency_penalty", "logit_bias"), f"{_CERTAIN}, whatever is added"),
    **dict.fromkeys(("min_new_tokens", "ignore_eos"), _AGAIN),
    "stop_token_ids": "delivered",
    **dict.fromkeys(("logprobs", "prompt_logprobs"), f"0: {_CERTAIN}"),
}

Fault = Literal["error", "memory", "hang", "crash"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoOptions:
    """`engine_options` of an echo model."""

    delay_s: float = 0.0
    """Time that each step of a batch takes."""
    fail_after: int | None = None
    """After so many steps of a batch comes a `fault`: to see what it looks like from outside, and whether those who
    watch over the server notice."""
    fault: Fault = "error"
    """An exception, want of memory, a batch that never ends, or the end of the process by SIGSEGV."""
    workers: int = 1
    """Batches at the same time."""


class EchoEngine:
    """Implements `BatchEngine`; a batch makes one token a row and step, as real engines do."""

    capabilities = Capabilities(engine="echo", options=_OPTIONS)
    cores = 0

    def __init__(self, options: EchoOptions) -> None:
        self._options = options
        self.workers = options.workers

    def check(self, run: Run) -> None:
        """Nothing to refuse: any id can be echoed."""

    def batch_key(self, run: Run) -> Hashable:
        """All runs may share a batch."""
        return None

    def length(self, run: Run) -> int:
        """Tokens of the prompt."""
        return len(run.tokens)

    def cost(self, runs: Sequence[Run]) -> float:
        """Nothing is computed: a batch takes its longest row's steps, whatever its size."""
        return max(run.max_new_tokens for run in runs)

    def run(self, runs: Sequence[Run], sink: BatchSink) -> Sequence[Run]:
        """Echo each run's tokens, up to its limit."""
        live = list(runs)
        position = 0
        while live:
            if position == self._options.fail_after:
                _fail(self._options.fault)
            if self._options.delay_s:
                time.sleep(self._options.delay_s)
            live = [run for run in live if not self._ended(run, position, sink)]
            position += 1
            sink.flush()
        return ()

    def close(self) -> None:
        """Nothing to release."""

    @staticmethod
    def _ended(run: Run, position: int, sink: BatchSink) -> bool:
        scores = _scores(run) if position == 0 else ()
        if run.max_new_tokens == 0:
            sink.add(Step(run=run.id, prompt_logprobs=scores, finish="length"))
            return True
        may_end = position >= (run.options.min_new_tokens or 0) and not run.options.ignore_eos
        if position >= len(run.tokens) and may_end:
            end = () if run.logprobs is None else (TokenLogprob(0.0),)
            sink.add(Step(run=run.id, logprobs=end, prompt_logprobs=scores, finish="stop"))
            return True
        token = run.tokens[position % len(run.tokens)]
        finish: FinishReason | None = "length" if position + 1 == run.max_new_tokens else None
        if token in (run.options.stop_token_ids or ()) and position + 1 > (run.options.min_new_tokens or 0):
            finish = "stop"
        known = () if run.logprobs is None else (_certain(token, run.logprobs),)
        left = sink.add(Step(run=run.id, tokens=(token,), logprobs=known, prompt_logprobs=scores, finish=finish))
        return left or finish is not None


def _fail(fault: Fault) -> None:
    match fault:
        case "error":
            raise RuntimeError("the echo engine was told to fail")
        case "memory":
            raise MemoryError("the echo engine was told to find no memory")
        case "hang":
            threading.Event().wait()
        case "crash":
            signal.raise_signal(signal.SIGSEGV)


def _certain(token: int, top: int) -> TokenLogprob:
    return TokenLogprob(0.0, ((token, 0.0),)[:top])


def _scores(run: Run) -> tuple[TokenLogprob | None, ...]:
    """What was given is certain, too; nothing stands before a prompt's first token."""
    top = run.prompt_logprobs
    if top is None:
        return ()
    if run.prefix:
        return tuple(_certain(token, top) for token in run.prefix)
    return (None, *(_certain(token, top) for token in run.tokens[1:]))


def load(settings: ModelSettings) -> EchoEngine:
    """An echo engine with the model's `engine_options`; raises `ConfigurationError` on an unknown one."""
    try:
        options: dict[str, Any] = {"workers": settings.workers or 1, **settings.engine_options}
        if options.get("fault", "error") not in get_args(Fault):
            raise TypeError(f"fault is one of {', '.join(get_args(Fault))}")
        return EchoEngine(EchoOptions(**options))
    except TypeError as error:
        known = ", ".join(EchoOptions.__dataclass_fields__)
        raise ConfigurationError(f"model '{settings.name}': engine_options of echo are {known} ({error})") from error
