"""The words of the command line -> what to measure. Made by `cli/bench.py`, read by `run.py` and `tune.py`."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from alcove.bench.measured import Load
from alcove.errors import ConfigurationError

DISTINCT = 32
"""Most different requests when texts are checked: each is asked alone first, which takes its time."""
WARM_UP = 2
"""Requests before the clock starts, where texts are not checked first."""


@dataclass(frozen=True, slots=True)
class Between:
    """A number that is drawn anew for each request, both ends included."""

    least: int
    most: int

    @classmethod
    def of(cls, text: str, option: str) -> Self:
        """`64`, or `20-200`. Raises `ConfigurationError`, which names the option."""
        least, dash, most = text.partition("-")
        try:
            found = cls(int(least), int(most if dash else least))
        except ValueError:
            raise ConfigurationError(f"{option}: should be a number or a range like 20-200, not {text!r}") from None
        if not 1 <= found.least <= found.most:
            raise ConfigurationError(f"{option}: should be at least 1, and a range go up, not {text!r}")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send to a server."""

    loads: tuple[Load, ...]
    model: str | None = None
    """The name to ask for; None takes the first that the server has."""
    requests: int | None = None
    """Requests of each level; None is what the load asks for."""
    stream: bool = True
    chat: bool = False
    prompt_words: Between = Between(70, 70)
    max_tokens: Between = Between(64, 64)
    prompts: tuple[str, ...] = ()
    """Given prompts, in turns; without any they are made of words."""
    ignore_eos: bool = False
    seed: int = 0
    check: bool = True
    """Whether the texts under load are held against those that each request gets alone."""
    timeout_s: float = 300.0

    def count(self, load: Load) -> int:
        """Requests of a level; by default 8 a client or 20 seconds of arrivals, and 16 at the least."""
        return self.requests or max(16, math.ceil(8 * load.clients if load.clients else 20 * (load.rate or 0)))

    def distinct(self) -> int:
        """How many different requests there are: when texts are checked few, which all levels share, else enough for
        none to be sent twice."""
        counts = [self.count(load) for load in self.loads]
        return min(max(counts), max(DISTINCT, len(self.prompts))) if self.check else sum(counts) + WARM_UP


def loads(clients: str | None, rates: str | None) -> tuple[Load, ...]:
    """`1,8,32` clients or `2,4,8` arrivals a second as levels. Raises `ConfigurationError`."""
    if clients is not None and rates is not None:
        raise ConfigurationError("--clients and --rate: give one of them; clients wait for answers, a rate does not")
    if rates is not None:
        return tuple(Load(rate=rate) for rate in _numbers(rates, "--rate"))
    found = _numbers("1,8,32" if clients is None else clients, "--clients")
    if any(number != int(number) for number in found):
        raise ConfigurationError(f"--clients: should be whole numbers like 1,8,32, not {clients!r}")
    return tuple(Load(clients=int(number)) for number in found)


def _numbers(text: str, option: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < number < math.inf for number in found):
        raise ConfigurationError(f"{option}: should be numbers like 1,8,32, not {text!r}")
    return found


def prompts_in(path: Path) -> tuple[str, ...]:
    """The prompts of a file, one a line. Raises `ConfigurationError`."""
    try:
        found = tuple(line for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--prompts: {path}: {error}") from None
    if not found:
        raise ConfigurationError(f"--prompts: {path}: holds no prompt; write one a line")
    return found
