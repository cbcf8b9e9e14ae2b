"""One run's place in a batch: takes the library's tokens one by one, gives steps. Used by `engine.py`."""

import logging
from collections.abc import Container, Sequence

from alcove.engines.base import BatchSink
from alcove.engines.ctranslate2.tables import Table
from alcove.runs import Run, Step

logger = logging.getLogger(__name__)


class Row:
    """Counts a run's tokens and ends it once, at its own limit though the batch's may be higher."""

    def __init__(
        self,
        run: Run,
        forced: int,
        target: Table,
        ends: Container[int],
        sink: BatchSink,
        *,
        watched: int | None = None,
    ) -> None:
        """`forced`: how many of the tokens that come first were given to the library, not made by it. `ends`: the
        library's ids that end an output. `watched`: the library's id of a token that it may not choose alone."""
        self.run = run
        self.forced = forced
        # transformers' last token at the limit is the forced one, so that one less can be seen
        self.limit = run.max_new_tokens - (run.forced_eos is not None)
        self.made: list[int] = []
        """The tokenizer's ids of the output so far."""
        self.ended = False
        self.contested = False
        """Whether the library has stopped at the watched token: `give` what shall stand in its place."""
        self.failure: BaseException | None = None
        """What broke in `take`."""
        self._target = target
        self._ends = ends
        self._sink = sink
        self._watched = watched
        self._repeats = 0

    def is_beyond(self, output: Sequence[str]) -> bool:
        """Whether an output of a beam search, its given tokens and its end counted, is longer than may be."""
        return len(output) > self.forced + self.limit

    def begin(self) -> None:
        """The library begins or goes on with this row: it will first repeat what is there."""
        self.contested = False
        self._repeats = self.forced + len(self.made)

    def take(self, token: int) -> bool:
        """The library has made `token` (its own id). True when it shall make no more. Never raises: an exception
        that reaches the library ends the process (`std::terminate`, when a second waiter is told of it)."""
        try:
            if self.ended or self.contested:
                return True
            if self._repeats:
                self._repeats -= 1
                return False
            self.contested = token == self._watched
            return self.contested or self.give(token)
        except BaseException as error:  # see above
            logger.exception("Run %s failed in CTranslate2's callback", self.run.id)
            self.failure = error
            self.ended = True
            return True

    def give(self, token: int) -> bool:
        """Put the library's `token` into the output. True when nothing more shall come."""
        if token in self._ends:
            self.end()
            return True
        if token == self._watched:
            self._watched = None  # from now on the library sees it
        self.made.append(self._target.tokenizer_id(token))
        last = len(self.made) >= self.limit
        left = self._sink(Step(run=self.run.id, tokens=(self.made[-1],), finish="length" if last else None))
        self.ended = last or left
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
