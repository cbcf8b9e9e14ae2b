"""Between the tokenizer's ids and CTranslate2's, which has vocabularies of its own and is spoken to in token strings.

Made once at load; `engine.py` translates every run's tokens with it. Unknown strings would become `<unk>` without a
word (`Vocabulary::to_id`), so an id without an entry is refused here.
"""

from collections.abc import Mapping, Sequence

from alcove.engines.base import Vocabulary


class Table:
    """One side's ids: the tokenizer's to the library's strings and ids, and back."""

    def __init__(self, tokenizer: Sequence[str | None], library: Sequence[str]) -> None:
        """`tokenizer` and `library` hold the token strings by each one's ids."""
        first: dict[str, int] = {}
        for number, token in enumerate(library):
            first.setdefault(token, number)
        self._strings = {number: token for number, token in enumerate(tokenizer) if token in first}
        self._ids = {number: first[token] for number, token in self._strings.items() if token is not None}
        self._back = _back(tokenizer, library)
        self._back_by_string = {token: self._back[number] for token, number in first.items()}
        self.size = len(library)
        """How many tokens the library's vocabulary has."""

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


class Tables:
    """The source's table and the target's."""

    def __init__(self, vocabulary: Vocabulary, source: Sequence[str], target: Sequence[str]) -> None:
        self.target = Table(vocabulary.target, target)
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
