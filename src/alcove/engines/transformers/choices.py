"""The two hooks by which each row of a batch without beams has options, limits and ends of its own.

`generate` is told to be greedy: where a row wants a token that is not the most probable one, `ChooseTokens` gives
that token an endless score. `RowEnds` hands every row what was taken.
"""

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor, StoppingCriteria

from alcove.engines.base import BatchSink
from alcove.engines.transformers.groups import Group
from alcove.engines.transformers.logprobs import RawLogprobs
from alcove.engines.transformers.rows import Row


class ChooseTokens(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped
    """The only logits processor of a call, so that it sees the model's own logits."""

    def __init__(self, rows: Sequence[Row], groups: Sequence[Group], logprobs: RawLogprobs, *, prompt: int) -> None:
        """`prompt`: length of the padded prompts."""
        self._groups = groups
        self._logprobs = logprobs
        self._prompt = prompt
        self._forcing = [
            (place, row)
            for place, row in enumerate(rows)
            if row.prompt.forced_bos is not None or row.run.forced_eos is not None
        ]

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do at any step."""
        return not (self._groups or self._forcing or self._logprobs.wanted)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores`: (rows, vocabulary), a copy of the logits in float32 that is ours to change."""
        self._logprobs.see(scores)
        chosen: dict[int, int] = {}
        for group in self._groups:
            if not all(row.ended for row in group.rows):
                chosen.update(zip(group.places, group.choose(input_ids, scores), strict=True))
        step = input_ids.shape[1] - self._prompt
        chosen.update({place: token for place, row in self._forcing if (token := row.forced_at(step)) is not None})
        if chosen:
            scores[list(chosen), list(chosen.values())] = torch.inf
        return scores


class RowEnds(StoppingCriteria):  # type: ignore[misc]  # transformers is untyped
    """Called by `generate` after each step: hands every row its token and tells which rows have ended."""

    def __init__(self, rows: Sequence[Row], logprobs: RawLogprobs, sink: BatchSink) -> None:
        self._rows = rows
        self._logprobs = logprobs
        self._sink = sink

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        """`input_ids`: (rows, length). Returns a bool a row."""
        tokens = input_ids[:, -1].tolist()
        logprobs = self._logprobs.of(tokens)
        for place, (row, token) in enumerate(zip(self._rows, tokens, strict=True)):
            if not row.ended:
                row.take(token, logprobs.get(place))
        self._sink.flush()
        return torch.tensor([row.ended for row in self._rows], device=input_ids.device)
