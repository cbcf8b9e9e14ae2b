"""OpenAI's wire types of `/v1/chat/completions`."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from alcove.jobs import Role
from alcove.protocol.generation import MAX_LOGPROBS, MAX_NUMBER, GenerationRequest
from alcove.protocol.logprobs import PromptLogprobs, TokenLogprob
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


MAX_MESSAGES = 2048
MAX_VARIABLES = 32


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


class ChatPrompt(BaseModel):
    """A chat, and how it becomes a prompt."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    """The chat so far, oldest first."""
    add_generation_prompt: bool | None = None
    """Whether the prompt ends where the assistant begins to speak; it does, unless `continue_final_message` is set."""
    continue_final_message: bool = False
    """Go on from the last message, rather than answer it; for an encoder-decoder it becomes the decoder's prefix."""
    chat_template_kwargs: dict[str, Any] = Field({}, max_length=MAX_VARIABLES)
    """Further variables of the model's chat template, of those that it mentions itself."""


class ChatRequest(ChatPrompt, GenerationRequest):
    """Body of a request for a chat completion."""

    max_completion_tokens: int | None = Field(None, ge=0, le=MAX_NUMBER)
    """Most tokens of an answer; OpenAI's newer name of `max_tokens`."""
    logprobs: bool = False
    """Tell the log-probabilities of the answer's tokens: the model's own, before any option has changed them."""
    top_logprobs: int | None = Field(None, ge=0, le=MAX_LOGPROBS)
    """With `logprobs`: tell so many most probable tokens in each place, too."""


class AnswerMessage(msgspec.Struct, frozen=True):
    """What the assistant says."""

    content: str
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class ChatLogprobs(msgspec.Struct, frozen=True):
    """Log-probabilities of an answer's tokens, or of those that a chunk adds."""

    content: list[TokenLogprob]
    refusal: None = None


class ChatChoice(msgspec.Struct, frozen=True):
    """One whole answer."""

    index: int
    message: AnswerMessage
    finish_reason: FinishReason | None
    logprobs: ChatLogprobs | None = None
    stop_reason: str | int | None = None
    """The stop string or token id that was found; null for the model's own end."""
    token_ids: list[int] | UnsetType = UNSET
    """Ids of the answer's tokens, when asked for."""


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
    prompt_logprobs: PromptLogprobs | UnsetType = UNSET
    prompt_token_ids: list[int] | UnsetType = UNSET


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
    logprobs: ChatLogprobs | None = None
    stop_reason: str | int | UnsetType | None = UNSET
    """On the last chunk of the choice."""
    token_ids: list[int] | UnsetType = UNSET


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
    prompt_logprobs: PromptLogprobs | UnsetType = UNSET
    """On the first chunk, and so are the prompt's ids."""
    prompt_token_ids: list[int] | UnsetType = UNSET
