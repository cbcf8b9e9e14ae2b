"""Log-probabilities of the model itself: of tokens as they are chosen, and of tokens that stand there already."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from alcove.engines.transformers.rows import Row
from alcove.runs import TokenLogprob

_AT_ONCE = 64
"""Tokens whose logits are looked at together: a row of them may take a megabyte, and a copy is made."""


class RawLogprobs:
    """Those of a batch's rows that want them: `see` before a token is chosen, `of` when it is."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._wanted = {place: row.run.logprobs for place, row in enumerate(rows) if row.run.logprobs is not None}
        self._seen: torch.Tensor | None = None

    @property
    def wanted(self) -> bool:
        """Whether any row wants them."""
        return bool(self._wanted)

    def see(self, logits: torch.Tensor) -> None:
        """`logits`: (rows, vocabulary), as the model gave them."""
        if self._wanted:
            self._seen = logits[list(self._wanted)].log_softmax(dim=-1)

    def of(self, tokens: Sequence[int]) -> Mapping[int, TokenLogprob]:
        """By place, those of the tokens that the rows have chosen, one for each row of the batch."""
        if self._seen is None:
            return {}
        chosen = [tokens[place] for place in self._wanted]
        return dict(zip(self._wanted, _entries(self._seen, chosen, list(self._wanted.values())), strict=True))


def of_given(model: Any, inputs: Mapping[str, torch.Tensor], count: int, top: int) -> tuple[TokenLogprob, ...]:
    """Those of the last `count` ids of one sequence, from one pass of the model over it, with `top` alternatives.

    `inputs` are the model's own, of one row; each of these ids has at least one before it.
    """
    name = "decoder_input_ids" if "decoder_input_ids" in inputs else "input_ids"
    ids = inputs[name][0, -count:].tolist() if count else []
    if not ids:
        return ()
    logits = model(**inputs).logits[0, -count - 1 : -1]
    entries: list[TokenLogprob] = []
    for start in range(0, count, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        entries += _entries(logits[part].float().log_softmax(dim=-1), ids[part], [top] * len(ids[part]))
    return tuple(entries)


def _entries(logs: torch.Tensor, tokens: Sequence[int], tops: Sequence[int]) -> list[TokenLogprob]:
    """`logs`: (tokens, vocabulary); `tops`: how many alternatives each wants."""
    own = logs.gather(1, torch.tensor(tokens, device=logs.device)[:, None])[:, 0].tolist()
    values, ids = (part.tolist() for part in logs.topk(min(max(tops), logs.shape[1])))
    return [
        TokenLogprob(logprob, tuple(zip(others[:top], theirs[:top], strict=True)))
        for logprob, others, theirs, top in zip(own, ids, values, tops, strict=True)
    ]
