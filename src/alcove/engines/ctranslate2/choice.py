"""Chooses a run's next token where CTranslate2 cannot: under options it lacks, or by a seed.

The library makes a token of its own from the unchanged logits. Where that is the right one, its call goes on; where
not, `row.py` delivers the right one and ends the row, and the run goes on from there in a later call. Pure numpy.
"""

from collections.abc import Sequence

import numpy as np

from alcove.engines.ctranslate2.penalties import Penalties, Scores
from alcove.engines.ctranslate2.sampling import Sampling, draw, probabilities
from alcove.engines.draws import waits

BANNED_BELOW = np.finfo(np.float32).min
"""What CTranslate2 writes over a logit that it bans itself."""


class Chooser:
    """One run's choice; what it has made is told at each call."""

    def __init__(
        self,
        penalties: Penalties,
        given: Sequence[int],
        *,
        forced: int,
        sampling: Sampling | None,
        proposal: Sampling | None,
        seed: int | None,
        absent: int | None = None,
    ) -> None:
        """`given` are the ids before the output that penalties see, the last `forced` of which count as made.
        `sampling` is how to choose and `proposal` how the library does; None is the most probable token. `absent`
        is an id that has a logit but that the library cannot make."""
        self._penalties = penalties
        self._given = list(given)
        self._forced = forced
        self._sampling = sampling
        self._proposal = proposal
        self._seed = seed
        self._absent = [] if absent is None else [absent]
        self._random = np.random.default_rng()

    def choose(self, logits: Scores, token: int, output: Sequence[int]) -> int | None:
        """The token that follows `output`; `token` is the library's. None when no token may follow."""
        logits = np.where(logits <= BANNED_BELOW, np.float32(-np.inf), logits)
        logits[self._absent] = -np.inf
        scores = self._penalties.apply(logits, self._given, output, len(output) + self._forced)
        if scores.max() == -np.inf:
            return None
        if self._sampling is None:
            return int(scores.argmax())
        wanted = probabilities(scores, self._sampling)
        if self._seed is not None:
            # by its place in the output, so that a run draws the same wherever and however often it was interrupted
            return int((wanted / waits(self._seed, len(output), len(wanted))).argmax())
        if self._proposal is None:
            return draw(wanted, self._random.random())
        # A token that was drawn from `offered` is kept with probability wanted / offered, else another is drawn from
        # what `wanted` has more: together that is a draw from `wanted` (speculative sampling, arXiv 2211.17192).
        offered = probabilities(logits, self._proposal)
        if self._random.random() * offered[token] < wanted[token]:
            return token
        missing = np.maximum(wanted - offered, 0)
        return draw(missing if missing.any() else wanted, self._random.random())
