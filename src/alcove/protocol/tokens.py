"""vLLM's wire types of `/v1/tokenize`, `/v1/detokenize` and `/v1/score`."""

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from alcove.protocol.chat import ChatPrompt
from alcove.protocol.generation import TokenId
from alcove.protocol.usage import Usage

MAX_TEXTS = 2048


def _as_texts(value: Any) -> Any:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise PydanticCustomError("texts", "should be a text or a list of texts, none of them empty")
    if len(texts) > MAX_TEXTS:
        raise PydanticCustomError("texts", f"at most {MAX_TEXTS} texts in a request")
    return texts


Texts = Annotated[list[str], BeforeValidator(_as_texts, json_schema_input_type=str | list[str])]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    model: str | None = None
    """Name of a served model; may be left out when there is one model, or a default."""


class _Tokenize(_Body):
    return_token_strs: bool = False
    """Tell the tokens' own strings, too."""
    source_lang: str | None = None
    """Language of the text in the model's own code."""
    target_lang: str | None = None
    """Language of the answer, where it is part of the prompt."""


class TokenizeText(_Tokenize):
    """Body of a request for the tokens of a text."""

    prompt: str
    """The text, as `/v1/completions` takes it."""
    add_special_tokens: bool | None = None
    """Whether the tokenizer adds its special tokens; it does."""


class TokenizeChat(ChatPrompt, _Tokenize):
    """Body of a request for the tokens that a chat becomes."""

    add_special_tokens: bool | None = None
    """Whether the tokenizer adds its special tokens; it does, except behind a chat template."""


class Tokens(msgspec.Struct, frozen=True):
    """The tokens of a prompt."""

    count: int
    max_model_len: int
    """Most tokens that the model takes, a causal model's answer counted."""
    tokens: list[int]
    token_strs: list[str] | None = None
    """The tokens' own strings, as the vocabulary writes them, when asked for."""


class DetokenizeRequest(_Body):
    """Body of a request for the text of tokens."""

    tokens: list[TokenId] = Field(fail_fast=True)
    """Token ids, of the answer's side where the two sides have vocabularies of their own."""


class Detokenized(msgspec.Struct, frozen=True):
    """The text of tokens, special ones included."""

    prompt: str


class ScoreRequest(_Body):
    """Body of a request for scores: how probable each of the texts is after another."""

    text_1: Texts
    """One text for all of `text_2`, or one for each: what comes before (a causal model), or the source."""
    text_2: Texts
    """What is scored: a continuation, or an encoder-decoder's whole answer with the end of sequence."""
    normalize: Literal["sum", "mean"] = "sum"
    """The log-probabilities of the tokens of `text_2`, added up or their mean; longer texts have smaller sums."""
    source_lang: str | None = None
    """Language of `text_1` in the model's own code."""
    target_lang: str | None = None
    """Language of `text_2`, likewise."""


class Score(msgspec.Struct, frozen=True):
    """The score of one pair."""

    index: int
    score: float
    """0 is certain, less is less probable."""
    object: Literal["score"] = "score"


class Scores(msgspec.Struct, frozen=True):
    """The scores of all pairs, in the order of the request."""

    id: str
    created: int
    """Seconds since 1970."""
    model: str
    data: list[Score]
    usage: Usage
    object: Literal["list"] = "list"
