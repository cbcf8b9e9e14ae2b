"""How late a server's event loop was, as its own histogram in `/metrics` tells it. Used by the promise P9."""

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from tests.serving import Server

_NAME = "alcove:event_loop_lag_seconds"


@dataclass(frozen=True, slots=True)
class LoopLag:
    """What was seen until a moment, or between two."""

    buckets: Mapping[float, float]
    """How often the loop was late by at most so many seconds."""

    @classmethod
    def of(cls, server: Server) -> "LoopLag":
        """All since the server's start."""
        for family in text_string_to_metric_families(server.get("/metrics").text):
            if family.name == _NAME:
                counts = {s.labels["le"]: s.value for s in family.samples if s.name == f"{_NAME}_bucket"}
                return cls({float(bound): count for bound, count in counts.items()})
        raise RuntimeError(f"the server does not tell {_NAME}")

    @property
    def seen(self) -> int:
        """How often the loop was looked at."""
        return int(self.buckets[float("inf")])

    def since(self, earlier: "LoopLag") -> "LoopLag":
        """What was seen later than that."""
        return LoopLag({bound: count - earlier.buckets[bound] for bound, count in self.buckets.items()})

    def below(self, share: float) -> float:
        """The bound, in seconds, that this share of all lags did not exceed."""
        return min(bound for bound, count in self.buckets.items() if count >= share * self.seen)
