"""Words that must not come: from a run's options to the library's `suppress_sequences`. Used by `search.py`."""

from collections.abc import Sequence
from typing import Any

from alcove.engines.ctranslate2.tables import Table
from alcove.errors import InvalidRequest
from alcove.runs import Run


def banned_words(run: Run, target: Table, ends: Sequence[int]) -> list[list[int]]:
    """The tokenizer's ids of what must not come; a lone end of sequence is not banned, as in transformers. Raises
    `InvalidRequest` for what is no list of ids."""
    words = [word for word in _lists(run, "bad_words_ids") if len(word) > 1 or target.library_id(word[0]) not in ends]
    return [*([token] for token in _ids(run, "suppress_tokens")), *words]


def token_strings(words: Sequence[Sequence[int]], target: Table) -> tuple[tuple[str, ...], ...]:
    """The library's strings. Words that the model does not have cannot come anyway, and the library would refuse them
    (OPUS-MT forbids `<pad>`, which its conversion lacks)."""
    strings = [[target.string(token) for token in word] for word in words]
    return tuple(tuple(token for token in word if token is not None) for word in strings if None not in word)


def _lists(run: Run, name: str) -> list[list[int]]:
    value = run.options.extra.get(name) or []
    if not isinstance(value, list | tuple) or not all(_are_ids(word) and word for word in value):
        raise InvalidRequest(f"'{name}' must be a list of words, each a list of token ids.", param=name)
    return [list(word) for word in value]


def _ids(run: Run, name: str) -> list[int]:
    value = run.options.extra.get(name) or []
    if not _are_ids(value):
        raise InvalidRequest(f"'{name}' must be a list of token ids.", param=name)
    return list(value)


def _are_ids(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(i, int) and not isinstance(i, bool) for i in value)
