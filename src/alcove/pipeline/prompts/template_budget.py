"""What a template may cost while it runs, and what its operations cost.

Functions of `template_sandbox.py` call these before text is made; `Spent` is raised when a budget is used up. Needs
jinja2 and nothing of alcove, for it also runs in a small process of its own (`template_trial.py`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateRuntimeError

MAX_RANGE = 10_000
"""Most numbers of one `range`."""
MAX_WIDTH = 1_000
"""Widest that a text may be padded to, and longest text to pad with."""
MAX_INDENT = 16
"""Widest indent of JSON, which comes with each entry and each depth."""
MAX_INTEGER = 2**64
WIDENING = frozenset(
    {"batch", "center", "expandtabs", "indent", "ljust", "rjust", "round", "slice", "to_bytes", "tojson", "zfill"}
)
"""Filters and methods that make as much as a number says, out of whatever they are given."""
STRUCTURAL = frozenset(
    {"attr", "batch", "count", "d", "default", "dictsort", "first", "groupby", "items", "last", "length", "list", "map"}
    | {"max", "min", "random", "reject", "rejectattr", "reverse", "select", "selectattr", "slice", "sort", "unique"}
)
"""Filters that pass entries on as they are; all others make text of what they are given."""
_WIDE_FORMAT = re.compile(r"\d{5,}|%[^a-zA-Z]*\*|\{[^{}]*\{")
"""In a format: a number of five digits, or one that comes from the arguments."""


class Spent(TemplateRuntimeError):
    """A template does more than a chat's template has reason to."""


@dataclass(slots=True)
class Budget:
    """What a rendering may still do."""

    steps: int
    """Turns of loops, calls and filters."""
    characters: int
    """Characters, and entries of lists, that are made or looked through on the way."""


def budget_for(messages: int, characters: int) -> Budget:
    """The budget for a chat of so many messages and characters: many times what ordinary templates need."""
    return Budget(
        steps=100_000 + 500 * messages + characters, characters=1_000_000 + 5_000 * messages + 64 * characters
    )


def longest_prompt(messages: int, characters: int) -> int:
    """Most characters that a template may make of such a chat: four for one of the messages', and its own words."""
    return 64 * 1024 + 1_000 * messages + 4 * characters


_BUDGET: ContextVar[Budget] = ContextVar("budget")


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    """Within it, templates render on this budget, in this thread."""
    token = _BUDGET.set(budget)
    try:
        yield
    finally:
        _BUDGET.reset(token)


def spend(steps: int, characters: int) -> None:
    """Raises `Spent` when there is not so much left."""
    budget = _BUDGET.get()
    budget.steps -= steps
    budget.characters -= characters
    if budget.steps < 0:
        raise Spent("it loops or calls without end")
    if budget.characters < 0:
        raise Spent("it makes too much text")


def spend_made(made: Any) -> None:
    """The price of a value that an operation has made."""
    if isinstance(made, int) and abs(made) > MAX_INTEGER:
        raise Spent("it computes with huge numbers")
    spend(1, size(made))


def spend_text(value: Any) -> None:
    """The price of making text of a value, whose lists may hold one long text many times."""
    if isinstance(value, str):
        spend(0, len(value))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            spend(1, size(key))
            spend_text(inner)
    elif isinstance(value, Iterable) and isinstance(value, Sized):
        for inner in value:
            spend(1, 1)
            spend_text(inner)


def size(value: Any) -> int:
    """Characters of a text, entries of a list; 0 of what has no length."""
    return len(value) if isinstance(value, Sized) else 0


def check_function(name: str, value: Any, given: Sequence[Any]) -> None:
    """Spend what the filter `name` of a value, or that method of a text, will make; `given` are its arguments.

    Raises `Spent` for what makes much out of little. Arguments may come by name, in any order: the dearest counts.
    """
    if name in WIDENING and (widest := max(map(_width, given), default=0)) > MAX_WIDTH:
        raise Spent(f"it makes something {widest} wide ({name})")
    match name:
        case "format" | "format_map":
            check_format(value, given)
        case "indent":
            spend(0, size(value) * max(map(_width, given), default=0))
        case "tojson" if max(map(_width, given), default=0) > MAX_INDENT:
            raise Spent(f"it indents JSON by more than {MAX_INDENT}")
        case "translate":
            raise Spent("it translates letters (translate)")
        case "sum" if any(map(size, given)):
            raise Spent("it adds up lists (sum)")
        case "replace" if len(given) > 1:
            text, one, other = map(_priced, (value, *given[:2]))
            spend(0, text.count(one) * len(other) + text.count(other) * len(one))
        case "join" if given:
            spend(0, size(value) * len(_priced(given[0])) + size(given[0]) * len(_priced(value)))


def _width(value: Any) -> int:
    """A number itself, a text's length; the most of several."""
    if isinstance(value, int):
        return abs(value)
    return max(map(_width, value), default=0) if isinstance(value, list | tuple) else size(value)


def _priced(value: Any) -> str:
    """The text of a value, paid for."""
    spend_text(value)
    return str(value)


def check_format(form: Any, values: Iterable[Any]) -> None:
    """Raise `Spent` for a format with a width of five digits, or one that is computed."""
    if isinstance(form, str) and _WIDE_FORMAT.search(form):
        raise Spent("it formats to a width of five digits, or to one that is computed")
    for value in values:
        spend_text(value)
