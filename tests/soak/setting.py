"""What every promise is given: where to write, how thorough to be, and whom to tell."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from tests.bench.figures import Bar, at_least, at_most

Form = Literal["short", "scaled", "full"]
"""For `make test`; ten minutes in all; as reliability asks for it."""
T = TypeVar("T")

WIDE = 10.0
"""In the short form, which shares its machine with whatever else goes on, times may be so many times as long."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One run."""

    scratch: Path
    """A folder that is gone afterwards."""
    form: Form
    say: Callable[[str], None]
    """Tells a person what is being done."""
    soak_s: float = 120.0
    """How long the soak of P8 lasts."""

    def pick(self, short: T, scaled: T, full: T) -> T:
        """The one of this form."""
        return {"short": short, "scaled": scaled, "full": full}[self.form]

    def at_most_s(self, seconds: float) -> Bar:
        """A bar for a time, or for what depends on times."""
        return at_most(seconds * WIDE if self.form == "short" else seconds)

    def at_least_a_second(self, rate: float) -> Bar:
        """A bar for a rate."""
        return at_least(rate / WIDE if self.form == "short" else rate)
