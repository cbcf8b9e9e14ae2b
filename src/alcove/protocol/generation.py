"""The fields that `/v1/completions` and `/v1/chat/completions` share, with the limits of each.

Ranges are OpenAI's where it has some. Which further fields there are, and what becomes of them, is in `fields.py`.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

MAX_STOPS = 4
MAX_CHARACTERS = 256
"""Of one stop string or bad word."""
MAX_CHOICES = 128
MAX_BEST_OF = 20
MAX_LOGPROBS = 20
"""Alternatives of one token."""
MAX_BIASES = 1024
MAX_IDS = 65_536
"""Token ids in one list."""
MAX_BAD_WORDS = 1024
MAX_BAD_WORD_IDS = 64
"""Token ids of one bad word."""
MAX_NUMBER = 2**31 - 1
"""Of numbers that have no nearer limit."""

_TOKEN_ID = re.compile(r"0|[1-9][0-9]{0,9}")  # one way to write each, so that none is there twice


def _check_stop(value: Any) -> Any:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise PydanticCustomError("stop", "should be a string or a list of strings")
    if len(stops) > MAX_STOPS or any(not 0 < len(stop) <= MAX_CHARACTERS for stop in stops):
        raise PydanticCustomError("stop", f"at most {MAX_STOPS} strings of 1 to {MAX_CHARACTERS} characters")
    return stops


def _as_bias(value: Any) -> Any:
    """JSON's keys are strings; these are token ids."""
    if not isinstance(value, dict) or not all(_TOKEN_ID.fullmatch(key) for key in value):
        raise PydanticCustomError("logit_bias", "should be an object from token ids to numbers")
    return {int(key): bias for key, bias in value.items()}


TokenId = Annotated[int, Field(ge=0, le=MAX_NUMBER)]
TokenIds = Annotated[list[TokenId], Field(max_length=MAX_IDS, fail_fast=True)]
"""Only the first wrong one is told, so no list of them is made of the others."""
BadWord = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
BadWordIds = Annotated[list[TokenId], Field(min_length=1, max_length=MAX_BAD_WORD_IDS)]
Bias = Annotated[float, Field(ge=-100, le=100)]


class StreamOptions(BaseModel):
    """How a stream is sent."""

    model_config = ConfigDict(strict=True, extra="forbid")

    include_usage: bool = False
    """Send one more chunk, without choices, that holds the usage."""
    include_obfuscation: bool = False
    """Accepted for OpenAI's clients; nothing is padded here."""


class GenerationRequest(BaseModel):
    """The fields that both endpoints share."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    model: str | None = None
    """Name of a served model; may be left out when there is one model, or a default."""
    n: int = Field(1, ge=1, le=MAX_CHOICES)
    """Completions a prompt: samples, or the best of a beam search."""
    best_of: int | None = Field(None, ge=1, le=MAX_BEST_OF)
    """Make so many samples and keep the `n` best by mean log-probability, best first; all of them are counted. With
    `use_beam_search`, the width of the search. Not for streams."""
    use_beam_search: bool = False
    """Search with `best_of` beams, or else `n`: vLLM's way to write `num_beams`."""
    stop: Annotated[list[str], BeforeValidator(_check_stop, json_schema_input_type=str | list[str])] = []
    """Texts that end the answer; they are not part of it. One that lies in its first `min_tokens` tokens does not."""
    stop_token_ids: TokenIds = []
    """Token ids that end the answer; counted as its last token, and not part of its text."""
    include_stop_str_in_output: bool = False
    """Keep the stop string or stop token that ended the answer in its text."""
    ignore_eos: bool = False
    """Never choose the model's own end of sequence."""
    stream: bool = False
    """Send the answer in pieces, as server-sent events."""
    stream_options: StreamOptions | None = None
    """`include_usage`: one more chunk at the end, without choices, that holds the usage."""
    max_tokens: int | None = Field(None, ge=0, le=MAX_NUMBER)
    """Most tokens of an answer; 0 only scores the prompt (`prompt_logprobs`, or `echo` with `logprobs`)."""
    max_new_tokens: int | None = Field(None, ge=0, le=MAX_NUMBER)
    """Hugging Face's name of `max_tokens`."""
    min_tokens: int | None = Field(None, ge=0, le=MAX_NUMBER)
    """No end before this many tokens."""
    temperature: float | None = Field(None, ge=0, le=2)
    """0 is greedy, above 0 samples; without it the model's own default holds, which is greedy for most."""
    top_p: float | None = Field(None, ge=0, le=1)
    """Sample from the most probable tokens that reach this sum of probabilities."""
    top_k: int | None = Field(None, ge=-1, le=MAX_NUMBER)
    """Sample from this many most probable tokens; 0 or -1 is all."""
    min_p: float | None = Field(None, ge=0, le=1)
    """Sample from tokens at least this probable, relative to the most probable one."""
    typical_p: float | None = Field(None, gt=0, le=1)
    """Sample from the most typical tokens that reach this sum of probabilities."""
    do_sample: bool | None = None
    """Hugging Face's switch: false is greedy, true samples (at temperature 1 unless given)."""
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    """The same request with the same seed gives the same answer on the same engine and machine. Of several choices of
    a prompt, choice i has the seed `seed + i`; so has choice i of every other prompt of the request."""
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    """Taken from the logit of each token that the answer has already."""
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    """Taken from the logit of each token, times how often the answer has it already."""
    repetition_penalty: float | None = Field(None, gt=0, le=100)
    """Above 1 makes tokens that have occurred less probable."""
    no_repeat_ngram_size: int | None = Field(None, ge=0, le=1024)
    """No n-gram of this size occurs twice; 0 is off."""
    logit_bias: Annotated[
        dict[TokenId, Bias], Field(max_length=MAX_BIASES), BeforeValidator(_as_bias, dict[str, float])
    ] = {}
    """Added to the logits of these token ids, -100 to 100."""
    allowed_token_ids: Annotated[TokenIds, Field(min_length=1)] | None = None
    """The only token ids that may be chosen, the end of sequence apart."""
    bad_words: list[BadWord] = Field([], max_length=MAX_BAD_WORDS)
    """Texts that must not occur in the answer, at its beginning or behind a blank; as in vLLM, what is banned are the
    sequences of token ids that they are encoded to."""
    bad_words_ids: list[BadWordIds] = Field([], max_length=MAX_BAD_WORDS)
    """`bad_words` as token ids, by Hugging Face's name."""
    num_beams: int | None = Field(None, ge=1, le=64)
    """Width of a beam search."""
    length_penalty: float | None = Field(None, ge=-10, le=10)
    """Exponent of the length in a beam's score; above 0 favours long answers."""
    early_stopping: bool | Literal["never"] | None = None
    """Whether a beam search ends as soon as `num_beams` answers are finished; "never" waits until no better one can
    come."""
    prompt_logprobs: int | None = Field(None, ge=0, le=MAX_LOGPROBS)
    """Tell the log-probabilities of the prompt's tokens (an encoder-decoder: of the decoder's prefix), with so many
    alternatives each."""
    return_token_ids: bool = False
    """Tell the token ids of prompt and answer."""
    skip_special_tokens: bool | None = None
    """Whether special tokens are left out of the answer's text; they are, unless the model's settings say otherwise."""
    add_special_tokens: bool | None = None
    """Whether the tokenizer adds its special tokens to a text; it does, except behind a chat template. Prompts of token
    ids are taken as they are."""
    truncate_prompt_tokens: int | None = Field(None, ge=-1, le=MAX_NUMBER)
    """Keep the last tokens of a longer prompt, so many in all, special ones counted and kept; -1 is as many as fit."""
    decoder_prefix: Annotated[str, Field(min_length=1)] | Annotated[TokenIds, Field(min_length=1)] | None = None
    """Encoder-decoder models: text or token ids from which the answer goes on; not part of it."""
    source_lang: str | None = None
    """Language of the prompt in the model's own code (`eng_Latn` for NLLB, `en` for M2M100, `en_XX` for mBART)."""
    target_lang: str | None = None
    """Language of the answer, in the model's own code as `source_lang`."""
