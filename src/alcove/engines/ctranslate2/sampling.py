"""From scores to probabilities, and one draw of them: temperature and the cuts, in the order and by the rules of
transformers' warpers. Pure numpy; used by `choice.py`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alcove.engines.ctranslate2.penalties import Scores

Probabilities = NDArray[np.float64]
"""One for each of the vocabulary's ids; their sum is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to sample; what is left out cuts nothing."""

    temperature: float
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0


def probabilities(scores: Scores, sampling: Sampling) -> Probabilities:
    """With which each token is to be drawn."""
    ids = np.flatnonzero(scores > -np.inf)
    kept = scores[ids] / np.float32(sampling.temperature)
    if 0 < sampling.top_k < len(ids):
        ids, kept = _only(ids, kept, kept >= np.partition(kept, -sampling.top_k)[-sampling.top_k])
    if sampling.top_p < 1:
        ids, kept = _only(ids, kept, _top_p(kept, sampling.top_p))
    if sampling.min_p > 0:
        likely = _softmax(kept)
        ids, kept = _only(ids, kept, likely >= sampling.min_p * likely.max())
    if sampling.typical_p < 1:
        ids, kept = _only(ids, kept, _typical(kept, sampling.typical_p))
    spread = np.zeros(len(scores))
    spread[ids] = _softmax(kept)
    return spread


def draw(weights: Probabilities, point: float) -> int:
    """The id in which `point`, 0 to 1, lies when the weights are laid side by side."""
    bounds = weights.cumsum()
    place = int(np.searchsorted(bounds, point * bounds[-1], side="right"))
    return min(place, int(np.flatnonzero(weights)[-1]))


def _only(ids: NDArray[np.intp], kept: Scores, mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], Scores]:
    return ids[mask], kept[mask]


def _softmax(scores: Scores) -> Probabilities:
    weights = np.exp(scores.astype(np.float64) - scores.max())
    return np.asarray(weights / weights.sum())


def _top_p(scores: Scores, mass: float) -> NDArray[np.bool_]:
    """The most probable until their sum reaches `mass`."""
    order = np.argsort(-scores, kind="stable")
    likely = _softmax(scores)[order]
    mask = np.empty(len(scores), dtype=bool)
    mask[order] = likely.cumsum() - likely < mass
    mask[order[0]] = True
    return mask


def _typical(scores: Scores, mass: float) -> NDArray[np.bool_]:
    """Those whose information is nearest to the expected one, until their sum reaches `mass`."""
    likely = _softmax(scores)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = -np.log(likely)
        expected = np.nansum(information * likely)
    distance = np.abs(information - expected)
    order = np.argsort(distance, kind="stable")
    last = min(int((likely[order].cumsum() < mass).sum()), len(order) - 1)
    return np.asarray(distance <= distance[order[last]])
