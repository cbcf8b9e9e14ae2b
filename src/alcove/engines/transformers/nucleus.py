"""`top_p` without sorting the vocabulary: the same tokens stay as with transformers' own processor. For `chain.py`."""

import torch
from transformers.generation.logits_process import TopPLogitsWarper

LOOKED_AT = 1024
"""Most probable tokens that are looked at first. Of 16 rows of 32,000 tokens they take 4 ms where a sort of all takes
33, as long as a step of a small model."""


class TopP:
    """Keeps the most probable tokens whose probabilities reach a sum."""

    def __init__(self, top_p: float, *, least: int) -> None:
        """`least`: how many tokens stay in any case."""
        self._of_all = TopPLogitsWarper(top_p, min_tokens_to_keep=least)
        self._top_p = top_p
        self._least = least

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores`: (rows, vocabulary)."""
        best, tokens = scores.topk(min(LOOKED_AT, scores.shape[1]))
        shares = (best - scores.logsumexp(dim=-1, keepdim=True)).exp()
        kept = shares.cumsum(dim=-1) - shares < self._top_p
        kept[:, : self._least] = True
        if bool(kept[:, -1].any()):  # the sum is reached further down
            return self._of_all(input_ids, scores)
        return torch.full_like(scores, -torch.inf).scatter(1, tokens, best.masked_fill(~kept, -torch.inf))
