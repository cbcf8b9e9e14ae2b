"""How long one connection may keep the server waiting: for a request's head, its body, and a reader of the answer.

`http_protocol.py` tells it what happens, and once a second `cli/serve.py` has it asked who is late. Times are the event
loop's, in seconds.
"""

from dataclasses import dataclass
from typing import Literal

MIN_BODY_RATE = 4096
"""Bytes a second. A body has a second more for each so many of its bytes that have come, so that a slow line may send a
long one, and nobody can hold a connection with a byte now and then."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The limits, from the server's settings."""

    header_s: float
    body_s: float
    send_s: float


class Clock:
    """What a connection is waited for now, and since when."""

    __slots__ = ("_allowance", "_begun", "_in_body", "_since", "_unsent", "_unsent_since")

    def __init__(self) -> None:
        self._since: float | None = None
        self._begun = self._in_body = False
        self._allowance = 0.0
        self._unsent = 0
        self._unsent_since = 0.0

    def expect_head(self, now: float, *, begun: bool) -> None:
        """A head is waited for, and something of it may have come already. The first call counts: it must come whole
        in time."""
        self._begun = self._begun or begun
        if self._since is None:
            self._since = now

    def expect_body(self, now: float) -> None:
        """The head is there, the body is waited for."""
        self._since, self._begun, self._in_body, self._allowance = now, True, True, 0.0

    def count(self, body_bytes: int) -> None:
        """A piece of the body has come."""
        self._allowance += body_bytes / MIN_BODY_RATE

    def expect_nothing(self) -> None:
        """The request is there: now it is the server that is waited for."""
        self._since, self._begun, self._in_body = None, False, False

    def pause(self, now: float) -> None:
        """What has not been read meanwhile cannot be late."""
        if self._since is not None:
            self._since = now

    def late(self, now: float, deadlines: Deadlines) -> Literal["idle", "head", "body"] | None:
        """What has not come in time: a head, a body, or any byte at all."""
        if self._since is None:
            return None
        if self._in_body:
            return "body" if now - self._since > deadlines.body_s + self._allowance else None
        if now - self._since <= deadlines.header_s:
            return None
        return "head" if self._begun else "idle"

    def stalled(self, unsent: int, now: float, deadlines: Deadlines) -> bool:
        """Whether the client has taken nothing of the `unsent` bytes that wait for it, for too long."""
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        return now - self._unsent_since > deadlines.send_s
