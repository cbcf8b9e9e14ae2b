"""One run in a batch of `generate`: its tokens become steps, its limit, its ends and its forced tokens are its own."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alcove.engines.base import BatchSink
from alcove.engines.draws import waits
from alcove.engines.transformers.prompts import Prompt
from alcove.runs import FinishReason, Run, Step, TokenLogprob

Scorer = Callable[[Sequence[int]], tuple[TokenLogprob, ...]]
"""Gives the log-probabilities of an output's tokens."""


class Row:
    """A run on its way through `generate`."""

    def __init__(self, run: Run, prompt: Prompt, eos: tuple[int, ...], sink: BatchSink) -> None:
        self.run = run
        self.prompt = prompt
        self.eos = eos
        """The model's own ids that end an output."""
        self.stops = tuple(token for token in run.options.stop_token_ids or () if token not in eos)
        """Further ones, which the run asks for."""
        self.ends = eos + self.stops
        self.limit = run.max_new_tokens - len(run.made) + (prompt.forced_bos is not None)
        """Most tokens that `generate` makes for this row."""
        self.ended = False
        self.given: tuple[TokenLogprob | None, ...] = ()
        """Log-probabilities of what the run was given; goes out with the first step."""
        self._sink = sink
        self._seed = secrets.randbits(64) if run.options.seed is None else run.options.seed
        self._left_to_force = prompt.forced_bos is not None
        self._made: list[int] = []

    def forced_at(self, step: int) -> int | None:
        """The token that `generate` must make in its step of this number, if there is one."""
        if step == 0 and self.prompt.forced_bos is not None:
            return self.prompt.forced_bos
        barred = self.run.options.ignore_eos and self.run.forced_eos in self.eos
        return self.run.forced_eos if step == self.limit - 1 and not barred else None

    def waits(self, size: int) -> NDArray[np.float64]:
        """The waits, (size,), by which the next token is drawn."""
        return waits(self._seed, len(self.run.made) + len(self._made), size)

    def take(self, token: int, logprob: TokenLogprob | None = None) -> None:
        """Deliver one more token."""
        if self._left_to_force:
            self._left_to_force = False
            return
        at_limit = len(self.run.made) + len(self._made) + 1 == self.run.max_new_tokens
        logprobs = () if logprob is None else (logprob,)
        if token in self.eos:
            finish = self._finish(at_limit)
            self._deliver(logprobs=logprobs if finish == "stop" else (), finish=finish)
            return
        self._made.append(token)
        reason: FinishReason | None = "stop" if token in self.stops else "length" if at_limit else None
        self._deliver(tokens=(token,), logprobs=logprobs, finish=reason)

    def take_nothing(self) -> None:
        """End a run that wants no tokens."""
        for output in range(self.run.outputs):
            self._deliver(output=output, finish="length")

    def take_outputs(self, outputs: Sequence[Sequence[int]], scores: Sequence[float | None], scorer: Scorer) -> None:
        """Deliver the outputs of a beam search, best first, padded behind their end."""
        for number, (made, score) in enumerate(zip(outputs, scores, strict=True)):
            made = made[self.prompt.forced_bos is not None : self.limit]
            end = next((place for place, token in enumerate(made) if token in self.ends), None)
            finish: FinishReason = "length" if end is None else self._finish(end + 1 == self.run.max_new_tokens)
            seen = end if end is None or finish == "length" else end + 1
            if end is not None and made[end] in self.stops:
                finish, end = "stop", end + 1
            logprobs = () if self.run.logprobs is None else scorer(made[:seen])
            self._deliver(output=number, tokens=tuple(made[:end]), logprobs=logprobs, finish=finish, score=score)

    def rest(self) -> Run:
        """The run as it must go on in a later batch."""
        return replace(self.run, made=(*self.run.made, *self._made))

    def _deliver(self, **news: Any) -> None:
        step = Step(run=self.run.id, prompt_logprobs=self.given, **news)
        self.given = ()
        self.ended = self._sink.add(step) or step.finish is not None

    def _finish(self, at_limit: bool) -> FinishReason:
        """Why an output ended whose last token is an end of sequence: at the limit it was made to be one."""
        return "length" if at_limit and self.run.forced_eos is not None else "stop"
