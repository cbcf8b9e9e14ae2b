"""Cuts a prompt to its last tokens, as `truncate_prompt_tokens` asks. Called by `pipeline/encode.py`."""

from alcove.errors import InvalidRequest


def truncated(tokens: tuple[int, ...], bare: tuple[int, ...], longest: int) -> tuple[int, ...]:
    """At most `longest` tokens: those of the text itself (`bare`) go, the first ones first; special tokens around them
    stay, as with the `truncation` of transformers' tokenizers. Raises `InvalidRequest` when there is no room for the
    text beside them."""
    excess = len(tokens) - longest
    if excess <= 0:
        return tokens
    starts = range(len(tokens) - len(bare) + 1)
    start = next((at for at in starts if tokens[at : at + len(bare)] == bare), 0)
    if excess >= (len(bare) or len(tokens)):
        raise InvalidRequest(
            f"'truncate_prompt_tokens': {longest} tokens leave no room for the prompt beside its special tokens.",
            param="truncate_prompt_tokens",
            code="invalid_value",
        )
    return tokens[:start] + tokens[start + excess :]
