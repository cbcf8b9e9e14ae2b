"""One run in a batch of `generate`: its tokens become steps, its limit and forced tokens are its own.

`engine.py` makes a `Row` a run and gives `generate` the two hooks that look after the rows at each step.
"""

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor, StoppingCriteria

from alcove.engines.base import BatchSink
from alcove.runs import FinishReason, Run, Step


class Row:
    """A run on its way through `generate`."""

    def __init__(self, run: Run, eos: tuple[int, ...], *, forced_bos: int | None, sink: BatchSink) -> None:
        self.run = run
        self.forced_bos = forced_bos
        """What the decoder must make first; counted by `generate`, no part of the output."""
        self.limit = run.max_new_tokens + (forced_bos is not None)
        """Most tokens that `generate` makes for this row."""
        self.ended = False
        self._eos = eos
        self._sink = sink
        self._made = 0

    def forced_at(self, made: int) -> int | None:
        """The token that must follow after `made` new ones, if there is one."""
        if made == 0 and self.forced_bos is not None:
            return self.forced_bos
        return self.run.forced_eos if made == self.limit - 1 else None

    def take(self, token: int) -> None:
        """Deliver one more token."""
        self._made += 1
        if self._made == 1 and self.forced_bos is not None:
            return
        at_limit = self._made == self.limit
        if token in self._eos:
            step = Step(run=self.run.id, finish=self._finish(at_limit))
        else:
            step = Step(run=self.run.id, tokens=(token,), finish="length" if at_limit else None)
        self.ended = self._sink(step) or step.finish is not None

    def take_outputs(self, outputs: Sequence[Sequence[int]], scores: Sequence[float | None]) -> None:
        """Deliver the outputs of a beam search, best first, padded behind their end."""
        for number, (made, score) in enumerate(zip(outputs, scores, strict=True)):
            made = made[self.forced_bos is not None : self.limit]
            end = next((place for place, token in enumerate(made) if token in self._eos), None)
            finish = "length" if end is None else self._finish(end + 1 == self.run.max_new_tokens)
            self._sink(Step(run=self.run.id, output=number, tokens=tuple(made[:end]), finish=finish, score=score))
        self.ended = True

    def _finish(self, at_limit: bool) -> FinishReason:
        """Why an output ended whose last token is an end of sequence: at the limit it was made to be one."""
        return "length" if at_limit and self.run.forced_eos is not None else "stop"


class RowEnds(StoppingCriteria):  # type: ignore[misc]  # transformers is untyped
    """Called by `generate` after each step: hands every row its token and tells which rows have ended."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        """`input_ids`: (rows, length). Returns a bool a row."""
        for row, token in zip(self._rows, input_ids[:, -1].tolist(), strict=True):
            if not row.ended:
                row.take(token)
        return torch.tensor([row.ended for row in self._rows], device=input_ids.device)


class ForcedTokens(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped
    """Forces each row's own first and last token; generate's own processors know one for all rows."""

    def __init__(self, rows: Sequence[Row], *, beams: int, prompt_length: int) -> None:
        self._rows = rows
        self._beams = beams
        self._prompt_length = prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores`: (rows * beams, vocabulary), the beams of a row side by side."""
        made = input_ids.shape[1] - self._prompt_length
        forced = [
            (number, token) for number, row in enumerate(self._rows) if (token := row.forced_at(made)) is not None
        ]
        if forced:
            scores = scores.clone()
        for number, token in forced:
            place = slice(number * self._beams, (number + 1) * self._beams)
            scores[place] = -torch.inf
            scores[place, token] = 0
        return scores
