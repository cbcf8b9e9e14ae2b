"""From a request for scores to jobs, and from their events to scores. Called by the routes."""

import math
import time
import uuid
from collections.abc import Sequence
from typing import Any

from alcove.errors import InvalidRequest
from alcove.jobs import Event, Job
from alcove.protocol.logprobs import finite
from alcove.protocol.tokens import Score, ScoreRequest, Scores
from alcove.protocol.usage import Usage


def score_jobs(request: ScoreRequest) -> list[Job]:
    """A job for each pair: one text with many, or as many with as many."""
    first, second = request.text_1, request.text_2
    if len(first) == 1:
        first = first * len(second)
    if len(first) != len(second):
        raise InvalidRequest(
            f"'text_1' has {len(first)} texts and 'text_2' {len(second)}: send one 'text_1' for all, or one for each.",
            param="text_1",
            code="invalid_value",
        )
    return [
        Job(
            prompt=before,
            continuation=text,
            param="text_2" if len(second) == 1 else f"text_2[{number}]",
            max_tokens=0,
            source_lang=request.source_lang,
            target_lang=request.target_lang,
        )
        for number, (before, text) in enumerate(zip(first, second, strict=True))
    ]


class ScoreRenderer:
    """Makes of each pair's event its score, and of the scores the answer; driven by `server/respond.py`."""

    def __init__(self, model: str, request: ScoreRequest) -> None:
        self._model = model
        self._mean = request.normalize == "mean"
        self._tokens = 0

    def chunk(self, event: Event) -> Score:
        """The score of one pair."""
        self._tokens += event.prompt_tokens
        known = [finite(token) for token in event.prompt_logprobs]
        total = math.fsum(known)
        return Score(event.job, total / len(known) if self._mean else total)

    def usage(self) -> Usage:
        """The tokens of all texts."""
        return Usage(self._tokens, 0, self._tokens)

    def fold(self, chunks: Sequence[Any]) -> Scores:
        """The answer: all scores in the order of the request, and the usage, which comes last."""
        *scores, usage = chunks
        scores.sort(key=lambda score: score.index)
        return Scores(f"score-{uuid.uuid4().hex}", int(time.time()), self._model, scores, usage)
