"""What single tokens stand for: the exact bytes of one id, as log-probabilities tell them.

In goes an id, out come bytes; a text's tokens join to the bytes of the text, the blank before its first word apart.
Made by a tokenizer, from what it decodes with.
"""

from collections.abc import Callable, Sequence


class TokenBytes:
    """The bytes of a vocabulary's tokens, each worked out once."""

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        strings: Sequence[str | None],
        *,
        whole: frozenset[int],
        bytes_of: Callable[[int], bytes] | None = None,
        byte_ids: frozenset[int] = frozenset(),
    ) -> None:
        """`decode` gives the text of ids; the tokens `whole` stand for their own strings; `bytes_of` tells those of a
        byte-level vocabulary; `byte_ids` are tokens of one byte each, written `<0x0A>`."""
        self._decode = decode
        self._strings = strings
        self._whole = whole
        self._bytes_of = bytes_of
        self._byte_ids = byte_ids
        self._known: dict[int, bytes] = {}
        self._before: tuple[int, ...] | None = None

    def __call__(self, token: int) -> bytes:
        """The bytes of one id; none for an id that is not in the vocabulary."""
        if token not in self._known:
            if not 0 <= token < len(self._strings) or self._strings[token] is None:
                return b""
            self._known[token] = self._found(token, self._strings[token] or "")
        return self._known[token]

    def _found(self, token: int, string: str) -> bytes:
        if token in self._whole:
            return string.encode()
        if token in self._byte_ids:
            return bytes([int(string[3:5], 16)])
        if self._bytes_of is not None:
            return self._bytes_of(token)
        # Decoders drop the blank before the first word of a text, so another token goes before this one.
        if self._before is None:
            self._before = self._word()
        return self._decode([*self._before, token])[len(self._decode(self._before)) :].encode()

    def _word(self) -> tuple[int, ...]:
        """A token with a text that none behind it changes: one that ends in a letter."""
        for token, string in enumerate(self._strings):
            if string and string[-1].isalpha() and token not in self._whole and self._decode([token])[-1:].isalpha():
                return (token,)
        return ()
