"""OpenAI's wire types of `/v1/completions`. A stream's chunks and a whole answer are the same object."""

from typing import Annotated, Any

import msgspec
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from alcove.protocol.fields import GenerationRequest
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
    """Begin each answer with its prompt."""
    max_new_tokens: int | None = Field(None, ge=1)
    """Hugging Face's name of `max_tokens`."""


class CompletionChoice(msgspec.Struct, frozen=True):
    """One completion, or a piece of one."""

    index: int
    """Which completion: prompts in their order, `n` for each."""
    text: str
    """The text, or the text that follows."""
    finish_reason: FinishReason | None
    """Why it ended; null while it goes on."""
    logprobs: None = None


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
