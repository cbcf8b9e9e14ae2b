"""Draws of tokens that repeat: what a run draws depends on its seed and on how many tokens it has, on nothing else.

Both engines draw so. A token's probability over its wait is greatest for the token that wins an exponential race, which
is a draw from the probabilities. Their last bits depend on a batch's shape: of a race these decide when two tokens are
about equal (less than one of a million draws of `alcove-chat` in float32), of a point on the line of all shares, whose
bounds they move, 150 of a million.
"""

import numpy as np
from numpy.typing import NDArray


def waits(seed: int, position: int, size: int) -> NDArray[np.float64]:
    """The waits, (size,), of all tokens of a vocabulary at an output's position. Any integer is a seed."""
    return np.random.default_rng([seed < 0, abs(seed), position]).standard_exponential(size)
