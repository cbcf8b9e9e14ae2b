"""Between the tokenizer's ids and CTranslate2's, which has vocabularies of its own and is spoken to in token strings.

Made once at load; `engine.py` translates every run's tokens with it. Unknown strings would become `<unk>` without a
word (`Vocabulary::to_id`), so an id without an entry is refused here.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from alcove.engines.base import Vocabulary
from alcove.engines.ctranslate2.penalties import Scores


class Table:
    """One side's ids: the tokenizer's to the library's strings and ids, and back."""

    def __init__(self, tokenizer: Sequence[str | None], library: Sequence[str], dropped: int | None = None) -> None:
        """`tokenizer` and `library` hold the token strings by each one's ids."""
        self.dropped = dropped
        """The tokenizer's id of a token that the model has and its conversion has not; its logit is always 0."""
        first: dict[str, int] = {}
        for number, token in enumerate(library):
            first.setdefault(token, number)
        self._strings = {number: token for number, token in enumerate(tokenizer) if token in first}
        self._ids = {number: first[token] for number, token in self._strings.items() if token is not None}
        self._back = _back(tokenizer, library)
        self._back_by_string = {token: self._back[number] for token, number in first.items()}
        self._made = {number: token for token, number in reversed(list(zip(library, self._back, strict=True)))}
        self._order = np.asarray(self._back)
        self._in_order = dropped is None and bool((self._order == np.arange(len(library))).all())
        self.size = len(library)
        """How many tokens the library's vocabulary has."""
        self.tokenizer_size = max(int(self._order.max()), -1 if dropped is None else dropped) + 1
        """Above the highest of the tokenizer's ids that can come out."""

    def string(self, number: int) -> str | None:
        """The library's string for a tokenizer's id; None when the model has no such token."""
        return self._strings.get(number)

    def library_id(self, number: int) -> int | None:
        """The library's id for a tokenizer's id, likewise."""
        return self._ids.get(number)

    def tokenizer_id(self, number: int) -> int:
        """The tokenizer's id for a library's id."""
        return self._back[number]

    def tokenizer_id_of(self, token: str) -> int:
        """The tokenizer's id for a library's string."""
        return self._back_by_string[token]

    def made_string(self, number: int) -> str | None:
        """The library's string for a tokenizer's id that came from it, or could; None for others."""
        return self._made.get(number)

    def tokenizer_ids(self) -> Iterable[int]:
        """All of the tokenizer's ids that can come out."""
        return self._made

    def in_tokenizer_order(self, logits: Scores) -> Scores:
        """The library's logits by the tokenizer's ids; minus infinity for those that the model lacks."""
        if self._in_order:
            return logits
        ordered = np.full(self.tokenizer_size, -np.inf, dtype=np.float32)
        ordered[self._order] = logits
        if self.dropped is not None:
            ordered[self.dropped] = 0.0
        return ordered


class Tables:
    """The source's table and the target's."""

    def __init__(
        self, vocabulary: Vocabulary, source: Sequence[str], target: Sequence[str], dropped: str | None = None
    ) -> None:
        """`source` and `target` are the library's vocabularies; `dropped` is a token that the conversion left out."""
        missing = dropped is not None and dropped in vocabulary.target and dropped not in target
        self.target = Table(vocabulary.target, target, vocabulary.target.index(dropped) if missing else None)
        shared = source is target and vocabulary.source == vocabulary.target
        self.source = self.target if shared else Table(vocabulary.source, source)


def _back(tokenizer: Sequence[str | None], library: Sequence[str]) -> Sequence[int]:
    """The tokenizer's id for each of the library's. Most vocabularies are equal; rows of the model that have no token
    in the tokenizer keep their own number, which decodes to nothing there as in transformers."""
    by_string: Mapping[str | None, int] = {token: number for number, token in reversed(list(enumerate(tokenizer)))}

    def tokenizer_id(number: int, token: str) -> int:
        own = tokenizer[number] if number < len(tokenizer) else None
        if own == token:
            return number
        seen_before = own is None and token in by_string and _at(library, by_string[token]) == token
        return number if seen_before else by_string.get(token, number)

    return [tokenizer_id(number, token) for number, token in enumerate(library)]


def _at(tokens: Sequence[str], number: int) -> str | None:
    return tokens[number] if number < len(tokens) else None
