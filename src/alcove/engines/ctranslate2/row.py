"""One run's place in a batch: takes the library's tokens one by one, gives steps. Used by `engine.py`."""

import logging
from collections.abc import Container

from alcove.engines.base import BatchSink
from alcove.engines.ctranslate2.tables import Table
from alcove.runs import Run, Step

logger = logging.getLogger(__name__)


class Row:
    """Counts a run's tokens and ends it once, at its own limit though the batch's may be higher."""

    def __init__(self, run: Run, forced: int, target: Table, ends: Container[int], sink: BatchSink) -> None:
        """`forced`: how many of the tokens that come first were given to the library, not made by it. `ends`: the
        library's ids that end an output."""
        self.run = run
        self.forced = forced
        # transformers' last token at the limit is the forced one, so that one less can be seen
        self.limit = run.max_new_tokens - (run.forced_eos is not None)
        self.ended = False
        self.failure: BaseException | None = None
        """What broke in `take`."""
        self._target = target
        self._ends = ends
        self._sink = sink
        self._seen = 0

    def take(self, token: int) -> bool:
        """The library has made `token` (its own id). True when it shall make no more. Never raises: an exception
        that reaches the library ends the process (`std::terminate`, when a second waiter is told of it)."""
        try:
            return self._take(token)
        except BaseException as error:  # see above
            logger.exception("Run %s failed in CTranslate2's callback", self.run.id)
            self.failure = error
            self.ended = True
            return True

    def _take(self, token: int) -> bool:
        if self.ended:
            return True
        self._seen += 1
        if self._seen <= self.forced:
            return False
        if token in self._ends:
            self.end()
        else:
            last = self._seen - self.forced >= self.limit
            step = Step(run=self.run.id, tokens=(self._target.tokenizer_id(token),), finish="length" if last else None)
            self.ended = last
            self.ended = self._sink(step) or last
        return self.ended

    def end(self) -> None:
        """The output is complete: the model ended it."""
        self.ended = True
        self._sink(Step(run=self.run.id, finish="stop"))

    def end_at_once(self) -> bool:
        """Whether there is room for no token at all; the run has then ended."""
        if self.limit < 1:
            self.ended = True
            self._sink(Step(run=self.run.id, finish="length"))
        return self.ended
