"""What the machines that texts pass through have in common: text goes in in pieces, text comes out in pieces.

Each holds back only what later text can still change; `flush` gives the rest. Chained by `chain.py`.
"""

from collections.abc import Iterable
from typing import Protocol


class TextMachine(Protocol):
    """A machine from text to text."""

    def feed(self, text: str) -> str:
        """Take further text; returns what is certain by now."""

    def flush(self) -> str:
        """No more text will come: the rest."""


def unfinished(text: str, wanted: Iterable[str]) -> int:
    """Length of the longest end of `text` with which one of the wanted strings begins without being complete."""
    longest = 0
    for string in wanted:
        for length in range(min(len(string) - 1, len(text)), longest, -1):
            if text.endswith(string[:length]):
                longest = length
                break
    return longest
