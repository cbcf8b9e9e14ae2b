"""A penalty for the one token that CTranslate2's repetition penalty does not see: the first of a prompt.

The decoding loop begins behind it. Where it has not occurred since, the penalty can only make it less probable, so
every other choice of the library stands; when the library chooses it, `engine.py` asks here what comes instead.
"""

import numpy as np
from numpy.typing import NDArray

from alcove.runs import Options

Probabilities = NDArray[np.float64]


def settle(logits: Probabilities, token: int, options: Options, draw: np.random.Generator) -> int:
    """The library's id that comes where the library chose `token`, which lacks its penalty in these `logits` (of the
    vocabulary, all else applied).

    The distribution over all calls is that of the penalised logits: `token` keeps its share of it, what is left goes
    to those that gain by the penalty (the rejection of speculative decoding). Greedy is the case of certainty.
    """
    penalty = options.repetition_penalty or 1.0
    penalised = logits.copy()
    penalised[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty
    before, after = _distribution(logits, options), _distribution(penalised, options)
    if draw.random() * before[token] < after[token]:
        return token
    gain = np.maximum(after - before, 0.0)
    return int(draw.choice(len(gain), p=gain / gain.sum()))


def _distribution(logits: Probabilities, options: Options) -> Probabilities:
    """What the library samples from: the most probable `top_k`, at a temperature, cut at `top_p`."""
    order = np.argsort(-logits, kind="stable")
    kept = 1 if not options.temperature else options.top_k or len(logits)
    scaled = (logits - logits[order[0]]) / (options.temperature or 1.0)
    scaled[order[kept:]] = -np.inf
    probabilities: Probabilities = np.exp(scaled)
    probabilities /= probabilities.sum()
    above = np.cumsum(probabilities[order]) - probabilities[order]
    probabilities[order[1:][above[1:] >= (1.0 if options.top_p is None else options.top_p)]] = 0.0
    probabilities /= probabilities.sum()
    return probabilities
