"""What becomes of each field of a request: the base of both request types, and three tables as data.

A field is honoured (declared on a request type, or an option of the engine), accepted because it cannot change the
text, or refused by name. Read by `protocol/request.py`.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

MAX_STOPS = 4
MAX_STOP_CHARACTERS = 256
MAX_CHOICES = 128


def _check_stop(value: Any) -> Any:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise PydanticCustomError("stop", "should be a string or a list of strings")
    if len(stops) > MAX_STOPS or any(not 0 < len(stop) <= MAX_STOP_CHARACTERS for stop in stops):
        raise PydanticCustomError("stop", f"at most {MAX_STOPS} strings of 1 to {MAX_STOP_CHARACTERS} characters")
    return stops


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
    stop: Annotated[list[str], BeforeValidator(_check_stop, json_schema_input_type=str | list[str])] = []
    """Texts that end the answer; they are not part of it."""
    stream: bool = False
    """Send the answer in pieces, as server-sent events."""
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    """Most tokens of an answer."""
    temperature: float | None = Field(None, ge=0, le=2)
    """0 is greedy, above 0 samples; without it the model's own default holds, which is greedy for most."""
    top_p: float | None = Field(None, ge=0, le=1)
    """Sample from the most probable tokens that reach this sum of probabilities."""
    top_k: int | None = Field(None, ge=-1)
    """Sample from this many most probable tokens; 0 or -1 is all."""
    do_sample: bool | None = None
    """Hugging Face's switch: false is greedy, true samples (at temperature 1 unless given)."""
    num_beams: int | None = Field(None, ge=1, le=64)
    """Width of a beam search."""
    length_penalty: float | None = Field(None, ge=-10, le=10)
    """Exponent of the length in a beam's score; above 0 favours long answers."""
    early_stopping: bool | None = None
    """Whether a beam search ends as soon as `num_beams` answers are finished."""
    no_repeat_ngram_size: int | None = Field(None, ge=0, le=1024)
    """No n-gram of this size occurs twice; 0 is off."""
    repetition_penalty: float | None = Field(None, gt=0, le=100)
    """Above 1 makes tokens that have occurred less probable."""
    min_tokens: int | None = Field(None, ge=0)
    """No end before this many tokens."""
    source_lang: str | None = None
    """Language of the prompt in the model's own code (`eng_Latn` for NLLB, `en` for M2M100, `en_XX` for mBART)."""
    target_lang: str | None = None
    """Language of the answer, likewise."""


ACCEPTED: frozenset[str] = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "safety_identifier",
        "user",
        "verbosity",
    }
)
"""Fields that cannot change the text of an answer here; any value is fine."""

REFUSED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "add_generation_prompt": ((True,), "a chat prompt always ends where the assistant begins"),
    "add_special_tokens": ((True,), "send token ids to choose the special tokens yourself"),
    "allowed_token_ids": (([],), "no field does this here yet"),
    "audio": ((), "answers are text"),
    "bad_words": (([],), "send 'bad_words_ids' with token ids"),
    "best_of": ((1,), "use 'n', or 'num_beams' for a beam search"),
    "chat_template": ((), "set prompt.chat_template in the model's configuration"),
    "chat_template_kwargs": (({},), "set prompt.chat_template in the model's configuration"),
    "continue_final_message": ((False,), "use /v1/completions with the whole prompt"),
    "frequency_penalty": ((0,), "use 'repetition_penalty'"),
    "function_call": (("none", "auto"), "no field does this here yet"),
    "functions": (([],), "no field does this here yet"),
    "ignore_eos": ((False,), "use 'min_tokens'"),
    "include_stop_str_in_output": ((False,), "append the stop string on your side"),
    "logit_bias": (({},), "no field does this here yet"),
    "logprobs": ((False,), "no field does this here yet"),
    "max_length": ((), "use 'max_tokens', which counts new tokens only"),
    "modalities": ((["text"],), "answers are text"),
    "moderation": ((), "no field does this here"),
    "prediction": ((), "no field does this here"),
    "presence_penalty": ((0,), "use 'repetition_penalty'"),
    "prompt_logprobs": ((), "no field does this here yet"),
    "response_format": (({"type": "text"},), "no field does this here yet"),
    "return_token_ids": ((False,), "no field does this here yet"),
    "seed": ((), "use temperature 0 for an answer that repeats"),
    "service_tier": (("auto", "default"), "there is one tier"),
    "skip_special_tokens": ((True,), "no field does this here yet"),
    "stop_token_ids": (([],), "use 'stop' with strings"),
    "store": ((False,), "nothing is stored"),
    "structured_outputs": ((), "no field does this here yet"),
    "suffix": (("",), "put the whole text into 'prompt'"),
    "tool_choice": (("none", "auto"), "no field does this here yet"),
    "tools": (([],), "no field does this here yet"),
    "top_logprobs": ((0,), "no field does this here yet"),
    "truncate_prompt_tokens": ((), "shorten the prompt on your side"),
    "use_beam_search": ((False,), "use 'num_beams'"),
    "web_search_options": ((), "no field does this here"),
}
"""Known fields that are refused by name, each with its neutral values (which are fine) and what to do instead."""

ENGINE_OPTIONS: Mapping[str, tuple[Any, ...]] = {
    "bad_words_ids": ([],),
    "begin_suppress_tokens": ([],),
    "diversity_penalty": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "encoder_repetition_penalty": (1,),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "exponential_decay_length_penalty": (),
    "guidance_scale": (1,),
    "min_p": (0,),
    "num_beam_groups": (1,),
    "remove_invalid_values": (False,),
    "renormalize_logits": (False,),
    "sequence_bias": ({},),
    "suppress_tokens": ([],),
    "typical_p": (1,),
}
"""Further options in the names of Hugging Face's `GenerationConfig`, with their neutral values: an engine takes them or
the request is refused, by the engine's `capabilities`."""
