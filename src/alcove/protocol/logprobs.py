"""Tokens with their log-probabilities in three wire shapes: OpenAI's for chats, its older one for completions, vLLM's
for prompts. Called by `render/` and `scoring.py`."""

from collections.abc import Iterable, Sequence

import msgspec

from alcove.jobs import TokenText

LEAST = -9999.0
"""OpenAI's value for what is next to impossible; JSON has no infinity."""


class TopLogprob(msgspec.Struct, frozen=True):
    """One of the most probable tokens in a place."""

    token: str
    logprob: float
    bytes: list[int]
    """The token's UTF-8, for letters that are several tokens."""


class TokenLogprob(msgspec.Struct, frozen=True):
    """A token of a chat's answer."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class PromptLogprob(msgspec.Struct, frozen=True):
    """What the model thought of one token in a place of the prompt."""

    logprob: float
    rank: int | None
    """1 is the most probable token there; null where the token is not among those that were asked for."""
    decoded_token: str


PromptLogprobs = list[dict[str, PromptLogprob] | None]
"""By token id, for each place; null where nothing stands before."""


def chat_token(token: TokenText) -> TokenLogprob:
    """A token of a chat's answer."""
    top = [TopLogprob(other.text, finite(other), list(other.bytes)) for other in token.top]
    return TokenLogprob(token.text, finite(token), list(token.bytes), top)


def completion_text(token: TokenText) -> str:
    """How completions name a token: its text, or OpenAI's `bytes:\\xe2\\x82` where it is part of a letter only, so that
    no two such tokens have one name."""
    try:
        return token.bytes.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.bytes)


def completion_top(token: TokenText) -> dict[str, float] | None:
    """The most probable tokens and the token itself, by their names; of equal names the most probable counts."""
    if token.logprob is None:
        return None
    found: dict[str, float] = {}
    for other in (*token.top, token):
        name = completion_text(other)
        found[name] = max(finite(other), found.get(name, LEAST))
    return found


def completion_logprob(token: TokenText) -> float | None:
    """The token's own log-probability."""
    return None if token.logprob is None else finite(token)


def prompt_logprobs(tokens: Sequence[TokenText]) -> PromptLogprobs:
    """All places of a prompt."""
    return [None if token.logprob is None else _place(token) for token in tokens]


def _place(token: TokenText) -> dict[str, PromptLogprob]:
    ranks: dict[int, int | None] = {other.id: rank for rank, other in enumerate(token.top, 1)}
    others: Iterable[TokenText] = (other for other in token.top if other.id != token.id)
    return {str(one.id): PromptLogprob(finite(one), ranks.get(one.id), one.text) for one in (token, *others)}


def finite(token: TokenText) -> float:
    """The token's log-probability as JSON can hold it; `LEAST` where there is none."""
    return LEAST if token.logprob is None else max(token.logprob, LEAST)
