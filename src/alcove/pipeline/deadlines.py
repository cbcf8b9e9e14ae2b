"""How long one request may take: to wait in the queue, to its first token, in all. Used by `pipeline/model.py`.

One timer a request, which is set anew only when it fires too early: news cost nothing.
"""

import asyncio

from alcove.config.settings import ModelSettings
from alcove.errors import DeadlineExceeded
from alcove.pipeline.mailbox import Reader


class Deadlines:
    """The clocks of a request that has just been submitted. They fail its reader; lives on the event loop."""

    def __init__(self, settings: ModelSettings, reader: Reader, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._reader = reader
        self._loop = loop
        self._begun_at = loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._set_timer()

    def close(self) -> None:
        """The request has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _next(self) -> tuple[float, str] | None:
        """The limit that the request would meet first as things are, in seconds, and what is to be said then."""
        settings, reader = self._settings, self._reader
        limits = [(settings.request_timeout_s, "the answer was not complete after {} s", "request_timeout_s")]
        if not reader.told:
            limits.append((settings.first_token_timeout_s, "no token came within {} s", "first_token_timeout_s"))
        if not reader.begun:
            limits.append((settings.queue_timeout_s, "its turn did not come within {} s", "queue_timeout_s"))
        found = [(limit, f"{text.format(f'{limit:g}')} ({name})") for limit, text, name in limits if limit]
        return min(found, default=None)

    def _set_timer(self) -> None:
        if (due := self._next()) is not None:
            self._timer = self._loop.call_at(self._begun_at + due[0], self._look)

    def _look(self) -> None:
        self._reader.refresh()
        due = self._next()
        if due is None or self._loop.time() < self._begun_at + due[0]:
            self._set_timer()
        else:
            self._reader.fail(DeadlineExceeded(f"The request was given up: {due[1]}."))
