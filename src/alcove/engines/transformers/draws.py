"""Draws of tokens that repeat: what a run draws depends on its seed and on how many tokens it has, on nothing else."""

from collections.abc import Sequence

import numpy as np
import torch


def uniform(seed: int, position: int) -> float:
    """A number of [0, 1) for the output token at this position."""
    words = np.random.SeedSequence(seed % 2**64, spawn_key=(position,)).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(11)) * 2.0**-53


def draw(scores: torch.Tensor, uniforms: Sequence[float]) -> torch.Tensor:
    """A token for each row: the one in whose share of the probabilities the row's number falls.

    `scores`: (rows, vocabulary), logits with minus infinity for what cannot be drawn.
    """
    reached = scores.softmax(dim=-1).cumsum(dim=-1, dtype=torch.float64)
    points = torch.tensor(uniforms, dtype=torch.float64, device=scores.device)[:, None] * reached[:, -1:]
    # a row without any probability is not a number, and lies behind the last
    return torch.searchsorted(reached, points, right=True)[:, 0].clamp(max=scores.shape[1] - 1)
