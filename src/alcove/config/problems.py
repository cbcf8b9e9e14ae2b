"""What is wrong with a configuration, as lines for a person: noted one by one, so that a check can say all of them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from alcove.errors import ConfigurationError

NEAR = 0.5
"""How alike two words are, from 0 to 1, of which one may stand for the other."""
NEAR_PATH = 0.65
"""The same for names that people choose freely."""


@contextmanager
def noting(problems: list[str]) -> Iterator[None]:
    """Note what the block finds wrong, and go on behind it."""
    try:
        yield
    except ConfigurationError as error:
        problems.append(str(error))


def refuse(problems: Iterable[str]) -> None:
    """Raise `ConfigurationError` with the first problem, if there is one, and how many more there are."""
    first, *others = [*problems] or [""]
    if first:
        more = f" (and {len(others)} more: `alcove check` says all)" if others else ""
        raise ConfigurationError(escaped(first + more))


def escaped(text: str) -> str:
    """The text as one line: everything that is not printable (control characters, U+2028, lone surrogates) as
    `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def nearest(word: str, known: Iterable[str], cutoff: float = NEAR, *, before: str = "") -> str:
    """`; did you mean 'port'?`, or nothing where no known word is near; `before` goes before the word."""
    words = list(known)
    near = get_close_matches(word, words, n=1, cutoff=cutoff) or get_close_matches(word.lower(), words, n=1)
    return f"; did you mean {before + near[0]!r}?" if near else ""
