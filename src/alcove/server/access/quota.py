"""What one caller may use, and whether a further request may begin. Knows no HTTP and no key; time is handed in.

Used by `limits.py`. A minute is any 60 seconds, not one of the clock's: nobody gets twice the limit around its turn.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

MINUTE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What one caller may use; None is any amount."""

    concurrency: int | None = None
    """Requests at the same time."""
    requests: int | None = None
    """Requests begun in any 60 seconds."""
    tokens: int | None = None
    """Tokens in any 60 seconds after which no further request begins."""


class Refused(NamedTuple):
    """Why a request may not begin, and when one may."""

    reason: str
    retry_after_s: int
    """Whole seconds, from 1 to 60, after which this reason is gone."""


class Account:
    """What one caller has used."""

    def __init__(self, quota: Quota, clock: Callable[[], float]) -> None:
        """`clock` tells seconds that never go back."""
        self._quota = quota
        self._clock = clock
        self._running = 0
        self._requests = _LastMinute()
        self._tokens = _LastMinute()

    def begin(self) -> Refused | None:
        """Count a request, to which `end` belongs; or say why it may not begin, and count nothing."""
        quota, now = self._quota, self._clock()
        if quota.concurrency is not None and self._running >= quota.concurrency:
            return Refused(f"{quota.concurrency} requests at a time", 1)
        for used, limit, what in (
            (self._requests, quota.requests, "requests"),
            (self._tokens, quota.tokens, "tokens"),
        ):
            if limit is not None and (wait := used.wait(limit, now)) > 0:
                return Refused(f"{limit} {what} a minute", max(1, math.ceil(wait)))
        self._running += 1
        if quota.requests is not None:
            self._requests.add(1, now)
        return None

    def end(self, tokens: int) -> None:
        """A request that had begun is over, and has used so many tokens."""
        self._running -= 1
        if self._quota.tokens is not None and tokens:
            self._tokens.add(tokens, self._clock())


class _LastMinute:
    """Amounts by the time of their use. There are never many: no more are added than a limit has room for."""

    def __init__(self) -> None:
        self._uses: deque[tuple[float, int]] = deque()
        self._sum = 0

    def add(self, amount: int, now: float) -> None:
        self._uses.append((now, amount))
        self._sum += amount

    def wait(self, limit: int, now: float) -> float:
        """Seconds until less than the limit has been used in the minute before; 0 when it is so already."""
        while self._uses and now - self._uses[0][0] >= MINUTE_S:
            self._sum -= self._uses.popleft()[1]
        remaining = self._sum
        wait = 0.0
        for at, amount in self._uses:
            if remaining < limit:
                break
            remaining -= amount
            wait = MINUTE_S - (now - at)
        return wait
