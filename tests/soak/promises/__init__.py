"""The nine promises, by name, in their order: what is promised, how it is tried, and what tries it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType

from tests.bench.figures import Row
from tests.soak.promises import (
    chaos,
    disconnects,
    equal_texts,
    hostile_mix,
    hours,
    idle_streams,
    overhead,
    overload,
    stops,
)
from tests.soak.setting import Setting


@dataclass(frozen=True, slots=True)
class Promise:
    """One of them."""

    title: str
    how: str
    measure: Callable[[Setting], list[Row]]


def _of(title: str, module: ModuleType) -> Promise:
    return Promise(title, module.HOW, module.measure)


PROMISES: Mapping[str, Promise] = {
    "P1": _of("1,000 idle streams beside normal traffic", idle_streams),
    "P2": _of("10,000 requests, 30 % of which are left", disconnects),
    "P3": _of("A stream is what comes whole", equal_texts),
    "P4": _of("Overload, ten times the capacity", overload),
    "P5": _of("Chaos: engines that raise, hang and die", chaos),
    "P6": _of("What the server adds to a stream", overhead),
    "P7": _of("Starts and stops under load", stops),
    "P8": _of("Everything at once, for long", hours),
    "P9": _of("Good streams beside a hostile mix", hostile_mix),
}
