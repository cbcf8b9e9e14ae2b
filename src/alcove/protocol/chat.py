"""OpenAI's wire types of `/v1/chat/completions`."""

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from alcove.jobs import Role
from alcove.protocol.fields import GenerationRequest
from alcove.protocol.usage import Usage
from alcove.runs import FinishReason


def _join_parts(content: Any) -> Any:
    """Text parts become one text, a line each; any other kind of part is refused."""
    if content is None:
        return ""
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise PydanticCustomError("content", "should be a string or a list of parts of type 'text'")
        texts.append(part["text"])
    return "\n".join(texts)


class ChatMessage(BaseModel):
    """One turn of a chat."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)

    role: Role
    content: Annotated[str, BeforeValidator(_join_parts, json_schema_input_type=str | list[dict[str, str]] | None)]
    """The text, or parts of type `text`, which are joined by newlines."""
    name: str | None = None
    """The speaker's name, for chat templates that use it."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, fields: Any) -> Any:
        """An earlier answer that a client sends back names everything it did not have as null."""
        if not isinstance(fields, dict):
            return fields
        return {name: value for name, value in fields.items() if value is not None or name == "content"}


class ChatRequest(GenerationRequest):
    """Body of a request for a chat completion."""

    messages: list[ChatMessage] = Field(min_length=1)
    """The chat so far, oldest first."""
    max_completion_tokens: int | None = Field(None, ge=1)
    """Most tokens of an answer; OpenAI's newer name of `max_tokens`."""
    max_new_tokens: int | None = Field(None, ge=1)
    """Hugging Face's name of `max_tokens`."""


class AnswerMessage(msgspec.Struct, frozen=True):
    """What the assistant says."""

    content: str
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class ChatChoice(msgspec.Struct, frozen=True):
    """One whole answer."""

    index: int
    message: AnswerMessage
    finish_reason: FinishReason | None
    logprobs: None = None


class ChatCompletion(msgspec.Struct, frozen=True):
    """A whole answer to a chat request."""

    id: str
    object: str
    """Always `chat.completion`."""
    created: int
    """Seconds since 1970."""
    model: str
    choices: list[ChatChoice]
    usage: Usage | None


class Delta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a chunk adds to a message."""

    role: Literal["assistant"] | None = None
    """On the first chunk of a choice."""
    content: str | None = None


class ChunkChoice(msgspec.Struct, frozen=True):
    """A piece of one answer."""

    index: int
    delta: Delta
    finish_reason: FinishReason | None
    logprobs: None = None


class ChatChunk(msgspec.Struct, frozen=True, omit_defaults=True):
    """One chunk of a streamed answer."""

    id: str
    object: str
    """Always `chat.completion.chunk`."""
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    """On the last chunk, when it was asked for."""
