"""Outcomes of requests -> the figures of a level of load. Made by `load.py`, shown by `report.py` and `plot.py`.

All times are seconds since the level began. Figures are of the requests that were answered; failures are counted.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one request."""

    sent_at: float
    """When it was sent; at a rate of arrivals, when it should have been."""
    ended_at: float
    """When its answer was complete, or was given up."""
    first_at: float | None
    """When its first text came; None for a whole answer, and for one without text."""
    chunk_times: tuple[float, ...]
    """When each chunk with text came."""
    text: str
    prompt_tokens: int | None
    """As the server counts; None if it does not say."""
    completion_tokens: int | None
    """As the server counts; None if it does not say."""
    error: str | None
    """Why it failed, None if it did not."""
    lateness_s: float = 0.0
    """How long after `sent_at` this client came to send it."""

    @property
    def tokens(self) -> int:
        """Completion tokens, or chunks where the server does not count."""
        return len(self.chunk_times) if self.completion_tokens is None else self.completion_tokens


@dataclass(frozen=True, slots=True)
class Load:
    """How a server is loaded: one of the two."""

    clients: int | None = None
    """So many clients at a time, each of which waits for its answer."""
    rate: float | None = None
    """So many arrivals a second, which wait for nothing."""

    @property
    def name(self) -> str:
        """As a person says it."""
        if self.clients is None:
            return f"{self.rate:g} requests/s"
        return f"{self.clients} client{'s' * (self.clients != 1)}"


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles of a figure, in its unit."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Level:
    """What was measured at one load; `outcomes` are in the order of the requests."""

    load: Load
    outcomes: tuple[Outcome, ...]
    load_cpu_s: float
    """CPU seconds of this client's process while it loaded the server."""
    reading_cpu_s: float
    """CPU seconds of this client's process for reading the answers afterwards."""

    @cached_property
    def answered(self) -> tuple[Outcome, ...]:
        """The outcomes that are no failures."""
        return tuple(outcome for outcome in self.outcomes if outcome.error is None)

    @cached_property
    def failures(self) -> Counter[str]:
        """How many requests failed for each reason."""
        return Counter(outcome.error for outcome in self.outcomes if outcome.error is not None)

    @cached_property
    def span_s(self) -> float:
        """From the first request sent to the last answer's end."""
        ends = [outcome.ended_at for outcome in self.outcomes]
        return max(ends) - min(outcome.sent_at for outcome in self.outcomes) if ends else 0.0

    @property
    def requests_per_s(self) -> float:
        """Answered requests a second, over the span."""
        return len(self.answered) / self.span_s if self.span_s else 0.0

    @cached_property
    def completion_tokens(self) -> int:
        """Tokens of all answers; see `counts_chunks`."""
        return sum(outcome.tokens for outcome in self.answered)

    @property
    def tokens_per_s(self) -> float:
        """Output tokens a second, over the span."""
        return self.completion_tokens / self.span_s if self.span_s else 0.0

    @property
    def counts_chunks(self) -> bool:
        """Whether the server did not count some answer's tokens, so that its chunks stand for them."""
        return any(outcome.completion_tokens is None for outcome in self.answered)

    @cached_property
    def first_token_s(self) -> Spread | None:
        """From a request to its first text; None if no answer was streamed."""
        return spread(outcome.first_at - outcome.sent_at for outcome in self.answered if outcome.first_at is not None)

    @cached_property
    def gap_s(self) -> Spread | None:
        """Between the chunks of an answer; None if no answer has two."""
        return spread(
            after - before
            for outcome in self.answered
            for before, after in zip(outcome.chunk_times, outcome.chunk_times[1:], strict=False)
        )

    @cached_property
    def latency_s(self) -> Spread | None:
        """From a request to the end of its answer; None if nothing was answered."""
        return spread(outcome.ended_at - outcome.sent_at for outcome in self.answered)

    @property
    def max_lateness_s(self) -> float:
        """The longest that this client was late to send."""
        return max((outcome.lateness_s for outcome in self.outcomes), default=0.0)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of this client, all in all."""
        return self.load_cpu_s + self.reading_cpu_s

    @property
    def cpu_share(self) -> float:
        """Part of a core that this client used while it loaded the server."""
        return self.load_cpu_s / self.span_s if self.span_s else 0.0


def spread(values: Iterable[float]) -> Spread | None:
    """The percentiles of values; None of no values."""
    ordered = sorted(values)
    if not ordered:
        return None
    return Spread(*(percentile(ordered, percent) for percent in (50, 95, 99)))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The percentile of ascending values, between two of them in proportion, as numpy does it."""
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
