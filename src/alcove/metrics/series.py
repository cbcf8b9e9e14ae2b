"""The series of all metrics: cheap cells to count in, and their exposition through prometheus-client.

prometheus-client's own counters take a lock and 1 to 2 us each time; what is written for every piece of every answer is
a plain number here, read when Prometheus asks. A cell has one writer: the event loop, or a model's batcher.
"""

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from alcove.metrics.definitions import DEFINITIONS


class Number:
    """One series of a counter or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Histogram:
    """One series of a histogram."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """The value has been seen so many times."""
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def add_to(self, family: HistogramMetricFamily, labels: tuple[str, ...]) -> None:
        """Expose it: buckets hold what is at or below their bound."""
        buckets: list[tuple[str, float]] = []
        so_far = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            so_far += count
            buckets.append((bound, so_far))
        family.add_metric(labels, buckets, self._sum)


class Series(Collector):
    """All series, by metric and labels. prometheus-client calls `collect`, in whatever thread it is asked."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, tuple[str, ...]], Number] = {}
        self._histograms: dict[tuple[str, tuple[str, ...]], Histogram] = {}

    def number(self, name: str, *labels: str) -> Number:
        """The series of these label values, which must come from the configuration or from tables of ours."""
        key = name, labels
        if (number := self._numbers.get(key)) is None:
            number = self._numbers[key] = Number()
        return number

    def histogram(self, name: str, *labels: str) -> Histogram:
        """The same for a histogram."""
        key = name, labels
        if (histogram := self._histograms.get(key)) is None:
            histogram = self._histograms[key] = Histogram(DEFINITIONS[name].buckets)
        return histogram

    def collect(self) -> Iterator[Metric]:
        """A family for each metric, whether it has series yet or not."""
        numbers, histograms = tuple(self._numbers.items()), tuple(self._histograms.items())
        for name, definition in DEFINITIONS.items():
            if definition.kind == "histogram":
                distribution = HistogramMetricFamily(name, definition.meaning, labels=definition.labels)
                for (of, labels), histogram in histograms:
                    if of == name:
                        histogram.add_to(distribution, labels)
                yield distribution
                continue
            kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
            family = kind(name, definition.meaning, labels=definition.labels)
            for (of, labels), number in numbers:
                if of == name:
                    family.add_metric(labels, number.value)
            yield family
