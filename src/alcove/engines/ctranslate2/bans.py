"""The tokens and words that a run's options ban, read from the options once for all who need them."""

from typing import Any

from alcove.errors import InvalidRequest
from alcove.runs import Options


def bad_words(options: Options) -> list[list[int]]:
    """Sequences of ids that must not occur in an output; raises `InvalidRequest` when they are not such."""
    value = options.bad_words_ids or ()
    if not isinstance(value, list | tuple) or not all(_are_ids(word) and word for word in value):
        raise InvalidRequest(
            "'bad_words_ids' must be a list of words, each a list of token ids.", param="bad_words_ids"
        )
    return [list(word) for word in value]


def suppressed_tokens(options: Options) -> list[int]:
    """Ids that must not occur in an output, likewise."""
    value = options.extra.get("suppress_tokens") or ()
    if not _are_ids(value):
        raise InvalidRequest("'suppress_tokens' must be a list of token ids.", param="suppress_tokens")
    return list(value)


def _are_ids(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(i, int) and not isinstance(i, bool) for i in value)
