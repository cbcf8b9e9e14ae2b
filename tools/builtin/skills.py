"""What `alcove-seq2seq` computes rather than remembers: number words, dates, addition.

In: a random generator. Out: a question and its answer, on an input of the held-out tenth or not.
Words backwards were tried: with tokens of several letters 91 % of held-out words came out right, too few to ship.
"""

import calendar
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tools.builtin.questions import digest

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


@dataclass(frozen=True, slots=True)
class Skill:
    """A task on unbounded inputs."""

    name: str
    draw: Callable[[Random], tuple[str, str]]
    """Gives an input and its answer."""
    phrasings: tuple[str, ...]
    """Questions with `{x}` for the input."""
    share: float
    """Weight among the skills in training."""


def sample(skill: Skill, rng: Random, *, held_out: bool) -> tuple[str, str]:
    """Draw a question and its answer from the inputs to train on, or from the held-out ones."""
    while True:
        given, answer = skill.draw(rng)
        if (digest(f"{skill.name}:{given}") % 10 == 0) == held_out:
            return rng.choice(skill.phrasings).format(x=given), answer


def number_words(number: int) -> str:
    """Spell a number below one million: 1203 -> one thousand two hundred three."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10] + (f"-{_ONES[number % 10]}" if number % 10 else "")
    unit, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    head = f"{number_words(number // unit)} {name}"
    return head + (f" {number_words(number % unit)}" if number % unit else "")


def _number(rng: Random) -> int:
    """Draw a number below one million, each count of digits equally often."""
    return rng.randrange(10 ** rng.randint(1, 6))


def _to_words(rng: Random) -> tuple[str, str]:
    number = _number(rng)
    return str(number), number_words(number)


def _to_digits(rng: Random) -> tuple[str, str]:
    number = _number(rng)
    return number_words(number), str(number)


def _date(rng: Random) -> tuple[str, str]:
    year, month = rng.randint(1900, 2099), rng.randint(1, 12)
    day = rng.randint(1, calendar.monthrange(year, month)[1])
    return f"{year}-{month:02}-{day:02}", f"{day} {calendar.month_name[month]} {year}"


def _to_iso(rng: Random) -> tuple[str, str]:
    iso, long = _date(rng)
    return long, iso


def _addition(rng: Random) -> tuple[str, str]:
    first, second = (rng.randrange(10 ** rng.randint(1, 3)) for _ in range(2))
    return f"{first} + {second}", str(first + second)


SKILLS = (
    Skill(
        "number to words", _to_words,
        ("Write {x} in words.", "{x} in words", "Spell out the number {x}.", "How do you write {x} in words?"), 0.12,
    ),
    Skill(
        "words to number", _to_digits,
        ("Write {x} in digits.", "{x} in digits", "Which number is {x}?", "How do you write {x} in digits?"), 0.12,
    ),
    Skill(
        "date to long form", _date,
        ("Write {x} as a long date.", "{x} as a long date", "Write the date {x} in words.", "Which day is {x}?"), 0.10,
    ),
    Skill(
        "date to ISO form", _to_iso,
        ("Write {x} as an ISO date.", "{x} as an ISO date", "Write the date {x} in digits.", "ISO date of {x}?"), 0.10,
    ),
    Skill("addition", _addition, ("What is {x}?", "{x} =", "Calculate {x}.", "How much is {x}?"), 0.30),
)  # fmt: skip
