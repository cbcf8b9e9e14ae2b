"""Token ids to text, piece by piece, at the same cost for every token.

In go the ids of one output as they come, out come pieces of text that join to what decoding all ids at once gives.
What later tokens can still change is held back: bytes of an unfinished letter above all. Made by a tokenizer's
`stream`.
"""

from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

_WINDOW = 32
"""Most tokens that are decoded again with the next one, where a decoder gives them no text of their own."""


class Detokenizer(Protocol):
    """A machine from ids to text."""

    def feed(self, ids: Iterable[int]) -> str:
        """Take further ids; returns the text that is certain by now."""

    def flush(self) -> str:
        """No more ids will come: the rest of the text."""


class ByteDetokenizer:
    """For byte-level vocabularies (GPT-2's kind), where every token is a string of bytes."""

    def __init__(self, bytes_of: Callable[[int], bytes]) -> None:
        """`bytes_of` gives a token's bytes, none for one that is left out of texts."""
        self._bytes_of = bytes_of
        self._letters = getincrementaldecoder("utf-8")("replace")

    def feed(self, ids: Iterable[int]) -> str:
        """Take further ids; returns the letters that are complete by now."""
        return self._letters.decode(b"".join(map(self._bytes_of, ids)))

    def flush(self) -> str:
        """The replacement character, if bytes of an unfinished letter are left."""
        return self._letters.decode(b"", final=True)


class WindowDetokenizer:
    """For every other vocabulary: decodes the last token and the new ones together and gives out what is added.

    Decoders treat the first token of a text in a way of its own (a leading blank is dropped), and no other token's
    text depends on what stands more than one token before it; so the last token is context enough, provided that it
    has a text at all.
    """

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        *,
        skips: Callable[[int], bool] = lambda token: False,
        open_ended: frozenset[int] = frozenset(),
    ) -> None:
        """`decode` gives the text of ids; `skips` tells which are left out of texts; a run of those in `open_ended`
        (byte tokens) becomes text only as a whole, when another token follows."""
        self._decode = decode
        self._skips = skips
        self._open = open_ended
        self._window: list[int] = []
        self._known = ""
        """Text of the window's tokens that has been given out."""
        self._given = 0
        """How many tokens of the window have given their text."""
        self._ready = 0
        """How many tokens of the window stand before the open run at its end."""

    def feed(self, ids: Iterable[int]) -> str:
        """Take further ids; returns the text that is certain by now."""
        for token in ids:
            if not self._skips(token):
                self._window.append(token)
                if token not in self._open:
                    self._ready = len(self._window)
        return self._advance()

    def flush(self) -> str:
        """The text of an open run at the end."""
        self._ready = len(self._window)
        return self._advance()

    def _advance(self) -> str:
        if self._ready == self._given:
            return ""
        text = self._decode(self._window[: self._ready])
        piece = text[len(self._known) :]
        last = self._decode([self._window[self._ready - 1]])
        if last or self._ready >= _WINDOW:
            del self._window[: self._ready - 1]
            text, self._ready = last, 1
        self._known, self._given = text, self._ready
        return piece
