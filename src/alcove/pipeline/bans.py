"""Words that an answer must not contain, as sequences of token ids, and the check of all ids that a request names.

Called by `pipeline/prepare.py`.
"""

from collections.abc import Iterable

from alcove.errors import InvalidRequest
from alcove.pipeline.known_ids import check_known
from alcove.pipeline.tokenizer import Tokenizer
from alcove.runs import Options


def bad_word_ids(words: Iterable[str], tokenizer: Tokenizer) -> tuple[tuple[int, ...], ...]:
    """Each word as it is encoded at the beginning of a text, and behind a blank where that is another first token and
    no longer: vLLM's rule. Raises `InvalidRequest` for a word without tokens."""
    found: list[tuple[int, ...]] = []
    for word in words:
        bare, spaced = (tokenizer.encode_target(blank + word.lstrip()) for blank in ("", " "))
        if not bare:
            raise InvalidRequest(f"'bad_words': {word!r} has no tokens.", param="bad_words", code="invalid_value")
        found.append(bare)
        if spaced and spaced[0] != bare[0] and len(spaced) == len(bare):
            found.append(spaced)
    return tuple(dict.fromkeys(found))


def check_ids(options: Options, size: int) -> None:
    """Raise `InvalidRequest` for a token id that a vocabulary of this size does not have."""
    named: dict[str, Iterable[int]] = {
        "logit_bias": options.logit_bias or (),
        "allowed_token_ids": options.allowed_token_ids or (),
        "stop_token_ids": options.stop_token_ids or (),
        "bad_words_ids": (token for word in options.bad_words_ids or () for token in word),
    }
    for name, ids in named.items():
        check_known(name, ids, range(size))
