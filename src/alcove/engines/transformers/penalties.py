"""Processors for options that `generate` does not know, in transformers' form. Made in `chain.py`."""

from collections.abc import Mapping, Sequence

import torch


class LogitBias:
    """Adds to the scores of some tokens."""

    def __init__(self, bias: Mapping[int, float]) -> None:
        self._ids = list(bias)
        self._values = torch.tensor(list(bias.values()), dtype=torch.float32)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores`: (rows, vocabulary)."""
        scores = scores.clone()
        scores[:, self._ids] += self._values.to(scores.device)
        return scores


class AllowedTokens:
    """Bans all tokens but these."""

    def __init__(self, allowed: Sequence[int]) -> None:
        self._allowed = list(allowed)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores`: (rows, vocabulary)."""
        left = torch.full_like(scores, -torch.inf)
        left[:, self._allowed] = scores[:, self._allowed]
        return left


class OutputPenalty:
    """Takes from the scores of tokens that the output has: once, or for each time that they occur."""

    def __init__(self, penalty: float, output: int, *, each: bool) -> None:
        self._penalty = penalty
        self._output = output
        """Place of the output's first token."""
        self._each = each

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`input_ids`: (rows, length); `scores`: (rows, vocabulary)."""
        made = input_ids[:, self._output :]
        counts = torch.zeros_like(scores).scatter_add_(1, made, torch.ones_like(made, dtype=scores.dtype))
        return scores - self._penalty * (counts if self._each else counts.clamp(max=1))
