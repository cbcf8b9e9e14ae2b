"""OpenAI's wire types of `/v1/completions`. A stream's chunks and a whole answer are the same object."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from alcove.protocol.generation import MAX_LOGPROBS, GenerationRequest
from alcove.protocol.logprobs import PromptLogprobs
from alcove.protocol.usage import Usage
from alcove.runs import FinishReason

MAX_PROMPTS = 2048


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)


def _as_prompts(value: Any) -> Any:
    """All four forms of the field as the last one: a list of texts or of token ids."""
    if isinstance(value, str) or (value and _is_ids(value)):
        return [value]
    if not (isinstance(value, list) and value and (all(isinstance(p, str) for p in value) or all(map(_is_ids, value)))):
        raise PydanticCustomError("prompt", "should be a string, a list of strings, token ids, or a list of token ids")
    if len(value) > MAX_PROMPTS:
        raise PydanticCustomError("prompt", f"at most {MAX_PROMPTS} prompts in a request")
    return value


Prompts = str | list[str] | list[int] | list[list[int]]
"""What a client may send."""


class CompletionRequest(GenerationRequest):
    """Body of a request for completions."""

    prompt: Annotated[list[str | list[int]], BeforeValidator(_as_prompts, json_schema_input_type=Prompts)]
    """One text or several, or their token ids."""
    echo: bool = False
    """Begin each answer with its prompt, an encoder-decoder's with the source and then the decoder's prefix. With
    `logprobs`, those of the prompt (of the prefix) are told, too."""
    logprobs: int | None = Field(None, ge=0, le=MAX_LOGPROBS)
    """Tell the log-probabilities of the answer's tokens, with so many alternatives each: the model's own, before any
    option has changed them."""


class CompletionLogprobs(msgspec.Struct, frozen=True):
    """Log-probabilities of tokens, a place in each list for every token."""

    tokens: list[str]
    token_logprobs: list[float | None]
    """Null for the first token of an echoed prompt, which nothing stands before."""
    top_logprobs: list[dict[str, float] | None]
    """The most probable tokens in its place, and the token itself."""
    text_offset: list[int]
    """Where in the choice's text the token begins, in characters."""


class CompletionChoice(msgspec.Struct, frozen=True):
    """One completion, or a piece of one."""

    index: int
    """Which completion: prompts in their order, `n` for each."""
    text: str
    """The text, or the text that follows."""
    finish_reason: FinishReason | None
    """Why it ended; null while it goes on."""
    logprobs: CompletionLogprobs | None = None
    stop_reason: str | int | UnsetType | None = UNSET
    """With `finish_reason`: the stop string or token id that was found; null for the model's own end."""
    token_ids: list[int] | UnsetType = UNSET
    """Ids of the text's tokens, when asked for."""
    prompt_token_ids: list[int] | UnsetType = UNSET
    """On a whole choice or its first piece, when asked for."""
    prompt_logprobs: PromptLogprobs | UnsetType = UNSET
    """Likewise."""


class Completion(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer, or a chunk of it."""

    id: str
    object: str
    """Always `text_completion`."""
    created: int
    """Seconds since 1970."""
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None
    """On a whole answer, and on a stream's last chunk when it was asked for."""
