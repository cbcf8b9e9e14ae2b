"""What is measured, as data: a case gives rows, a row holds a figure and the bar that it should meet.

Cases make them, `report.py` writes them down; nothing here measures.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure should be."""

    limit: float
    at_least: bool

    def met(self, value: float) -> bool:
        """Whether the figure is on the right side."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:,g}"


def at_least(limit: float) -> Bar:
    return Bar(limit, at_least=True)


def at_most(limit: float) -> Bar:
    return Bar(limit, at_least=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a theme's table."""

    what: str
    value: float | None
    """The figure; None when it could not be measured."""
    shown: str
    """The figure as a person reads it, or why there is none."""
    bar: Bar | None = None
    beside: tuple[str, ...] = ()
    """Cells of the theme's further columns."""

    @property
    def verdict(self) -> str:
        """Whether the bar was met, in a word."""
        if self.value is None:
            return "not measured"
        if self.bar is None:
            return ""
        return "met" if self.bar.met(self.value) else "**missed**"


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """What a table is about."""

    title: str
    figure: str
    """Heading of the figures."""
    beside: tuple[str, ...] = ()
    """Headings of the further columns."""
    how: str
    """How it was measured, for the reader of the page."""
    causes: str = ""
    """Where the difference goes, as found by profiling."""


def seconds(value: float) -> str:
    """A time as a person reads it."""
    return f"{value * 1000:,.1f} ms" if value < 0.1 else f"{value * 1000:,.0f} ms" if value < 1 else f"{value:,.2f} s"


def with_range(values: list[float], middle: float) -> str:
    """A ratio, and in small print its lowest and highest."""
    if len(values) == 1:
        return f"{middle:.2f}"
    return f"{middle:.2f} <sub>{min(values):.2f} to {max(values):.2f}</sub>"
