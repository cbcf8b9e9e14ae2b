"""Endings of many requests, each with the text that it should have had -> how many were right, and what was not."""

from collections import Counter
from collections.abc import Collection

from tests.soak.endings import Ending


class Tally:
    """The balance of a load. A foreign or wrong token is the gravest thing that can stand in it."""

    def __init__(self, *, errors: Collection[str] = ()) -> None:
        """`errors` are the codes that a request may end with."""
        self._allowed = errors
        self.exact = 0
        """Answers that came whole and right."""
        self.left = 0
        """Clients that left, as they meant to."""
        self.cut = 0
        """Requests whose connection was ended by the network that was laid in between."""
        self.errors: Counter[str] = Counter()
        """Those that ended with an error that may be, by its code."""
        self.wrong: list[str] = []
        """Answers with a text that was not theirs."""
        self.unshaped: list[str] = []
        """Those that ended as no request may, or with an error that may not be."""

    @property
    def requests(self) -> int:
        """All."""
        return self.exact + self.left + self.cut + self.errors.total() + len(self.wrong) + len(self.unshaped)

    def add(self, ending: Ending, expected: str, *, left: bool = False, lossy: bool = False) -> None:
        """Count a request; `left` if its client left, `lossy` if its connection may have been cut on the way."""
        if not expected.startswith(ending.text) or (ending.whole and ending.text != expected):
            self.wrong.append(f"{ending.text[:120]!r} instead of {expected[:120]!r}")
        elif ending.problem is not None:
            self.unshaped.append(ending.problem)
        elif ending.whole:
            self.exact += 1
        elif left:
            self.left += 1
        elif ending.code in self._allowed:
            self.errors[str(ending.code)] += 1
        elif ending.cut and lossy:
            self.cut += 1
        else:
            self.unshaped.append(ending.code or f"cut, after status {ending.status}")

    def __str__(self) -> str:
        """For a person, faults first."""
        parts = [f"{len(self.wrong)} wrong: {self.wrong[0]}"] if self.wrong else []
        parts += [f"{times} x {what}" for what, times in Counter(self.unshaped).most_common(3)]
        parts += [f"{self.exact:,} exact"]
        parts += [f"{self.left:,} left"] if self.left else []
        parts += [f"{self.cut:,} cut on the way"] if self.cut else []
        parts += [f"{times:,} {code}" for code, times in self.errors.most_common()]
        return ", ".join(parts)
