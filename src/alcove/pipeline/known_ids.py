"""The check of token ids that a request names, wherever it names them. Used by the files beside this one."""

from collections.abc import Iterable, Sequence

from alcove.errors import InvalidRequest


def check_known(field: str, ids: Iterable[int], tokens: Sequence[object]) -> None:
    """Raise `InvalidRequest`, naming the field, for an id that `tokens` has no place or a hole (None) for."""
    for token in ids:
        if not 0 <= token < len(tokens) or tokens[token] is None:
            raise InvalidRequest(
                f"'{field}': token id {token} is not in the vocabulary, which has {len(tokens)} tokens.",
                param=field,
                code="invalid_value",
            )
