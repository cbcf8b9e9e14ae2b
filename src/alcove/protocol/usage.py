"""OpenAI's count of tokens, shared by all endpoints."""

import msgspec


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one request."""

    prompt_tokens: int
    """Tokens of all prompts, special ones included; a prompt counts once, whatever `n` is."""
    completion_tokens: int
    """Tokens of all choices, the end of sequence not counted."""
    total_tokens: int
    """Both together."""
