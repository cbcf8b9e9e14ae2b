"""Knows when all rows of a batch have made their step, so that its news go out together. Used by `engine.py`."""

import logging
from collections.abc import Sequence

from alcove.engines.base import BatchSink
from alcove.engines.ctranslate2.library import ReadLogits
from alcove.engines.ctranslate2.row import Row

logger = logging.getLogger(__name__)


class Stride:
    """A batch's rows behind the library's callback, which is called for each row at each of its steps."""

    def __init__(self, rows: Sequence[Row], begins: Sequence[int], sink: BatchSink) -> None:
        """`begins`: the step at which each row is told of its first token."""
        self._rows = rows
        self._begins = begins
        self._sink = sink
        self._step = -1
        self._live = set(range(len(rows)))
        self._missing: set[int] = set()
        """Rows that are still to be told of this step."""
        self.failure: BaseException | None = None
        """What broke in `take`."""

    def take(self, step: int, number: int, token: int, read: ReadLogits | None) -> bool:
        """See `library.Callback`."""
        try:
            return self._take(step, number, token, read)
        except BaseException as error:  # one that reached the library could end the process, see `Row.take`
            logger.exception("The news of a batch could not be handed on")
            self.failure = error
            return True

    def _take(self, step: int, number: int, token: int, read: ReadLogits | None) -> bool:
        if step != self._step:
            self._sink.flush()
            self._live -= self._missing  # the library does not run them: a source without content
            self._step = step
            self._missing = {row for row in self._live if self._begins[row] <= step}
        ended = self._rows[number].take(token, read)
        if ended:
            self._live.discard(number)
        self._missing.discard(number)
        if not self._missing:
            self._sink.flush()
        return ended
