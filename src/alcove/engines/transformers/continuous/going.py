"""A run that is with the manager: what chooses its tokens, and what becomes of them. Used by `engine.py`."""

from collections.abc import Sequence
from typing import Any

import torch

from alcove.engines.base import Sink
from alcove.engines.transformers.chain import SEES_IDS
from alcove.engines.transformers.groups import Group
from alcove.engines.transformers.logprobs import RawLogprobs
from alcove.engines.transformers.options import effective
from alcove.engines.transformers.rows import Row
from alcove.runs import Step


class Submitted:
    """Runs that came together; one place in the queue."""

    def __init__(self, runs: int) -> None:
        self.waiting = runs
        """How many of its runs have no token yet."""


class Going:
    """One run: waiting or running. Implements the `BatchSink` of its own row."""

    def __init__(self, make_row: Any, sink: Sink, request: Submitted, device: torch.device) -> None:
        """`make_row` makes the run's `Row`, given where its steps go."""
        self.sink = sink
        self.request = request
        self.begun = False
        """It has a token, and no longer counts as waiting."""
        self.row: Row = make_row(self)
        self.news: list[Step] = []
        """Steps that have not been handed on."""
        self._seen = 0
        """Tokens that the manager has told of."""
        self._ids = list(self.row.prompt.ids)
        self._looks_back = bool(effective(self.row.run.options).keys() & SEES_IDS)
        self._device = device
        self._group = Group([0], [self.row], width=len(self._ids), device=device)
        self._logprobs = RawLogprobs([self.row])

    @property
    def idle(self) -> bool:
        """Whether the most probable token is always the right one, and nothing else is wanted."""
        return self._group.idle and not self._logprobs.wanted

    def choose(self, scores: torch.Tensor) -> int | None:
        """The next token, if it is not simply the most probable one. `scores`: (1, vocabulary), the model's logits."""
        self._logprobs.see(scores)
        if self._group.idle:
            return None
        ids = torch.tensor([self._ids if self._looks_back else []], dtype=torch.long, device=self._device)
        return self._group.choose(ids, scores)[0]

    def take(self, tokens: Sequence[int]) -> None:
        """`tokens`: all that the manager has made so far; the new ones among them become steps."""
        for token in tokens[self._seen :]:
            if not self.row.ended:
                self._ids.append(token)
                self.row.take(token, self._logprobs.of([token]).get(0))
        self._seen = len(tokens)

    def add(self, step: Step) -> bool:
        """Keep a step of the row; what has been cancelled is not taken any more."""
        self.news.append(step)
        return False

    def flush(self) -> None:
        """The engine takes the news of all runs at once."""
