"""What becomes of each field of a request that no request type declares, as data.

A field is honoured (declared on a request type, or an option of the engine), accepted because it cannot change the
text, or refused by name. Read by `protocol/request.py`.
"""

from collections.abc import Mapping
from typing import Any

ALIASES: Mapping[str, str] = {"min_new_tokens": "min_tokens", "num_return_sequences": "n"}
"""Hugging Face's names of fields that are declared under another."""

ACCEPTED: frozenset[str] = frozenset(
    {
        "cache_salt",
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "request_id",
        "safety_identifier",
        "session_id",
        "stream_interval",
        "user",
        "verbosity",
    }
)
"""Fields that cannot change the text of an answer here; any value is fine."""

REFUSED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "add_generation_prompt": ((True,), "prompts of completions are sent as they are"),
    "audio": ((), "answers are text"),
    "chat_template": ((), "set prompt.chat_template in the model's configuration"),
    "chat_template_kwargs": (({},), "prompts of completions go through no template"),
    "continue_final_message": ((False,), "prompts of completions are open already; see also 'decoder_prefix'"),
    "documents": (([],), "put their text into 'messages'"),
    "echo": ((False,), "the messages are known to who sent them; /v1/completions can echo its prompt"),
    "function_call": (("none", "auto"), "no field does this here yet"),
    "functions": (([],), "no field does this here yet"),
    "kv_transfer_params": ((), "no field does this here"),
    "logits_processors": (([],), "alcove runs no code from requests"),
    "logprob_token_ids": ((), "use 'logprobs'"),
    "max_length": ((), "use 'max_tokens', which counts new tokens only"),
    "modalities": ((["text"],), "answers are text"),
    "moderation": ((), "no field does this here"),
    "prediction": ((), "no field does this here"),
    "priority": ((0,), "requests are answered in the order of their coming"),
    "prompt_embeds": ((), "send 'prompt' as text or token ids"),
    "response_format": (({"type": "text"},), "no field does this here yet"),
    "return_tokens_as_token_ids": ((False,), "use 'return_token_ids'"),
    "service_tier": (("auto", "default"), "there is one tier"),
    "spaces_between_special_tokens": ((True,), "no field does this here"),
    "store": ((False,), "nothing is stored"),
    "structured_outputs": ((), "no field does this here yet"),
    "suffix": (("",), "put the whole text into 'prompt'"),
    "thinking_token_budget": ((-1,), "no field does this here yet"),
    "tool_choice": (("none", "auto"), "no field does this here yet"),
    "tools": (([],), "no field does this here yet"),
    "top_logprobs": ((0,), "completions take a number for 'logprobs'"),
    "truncation_side": (("left",), "'truncate_prompt_tokens' keeps the end of a prompt"),
    "web_search_options": ((), "no field does this here"),
}
"""Known fields that are refused by name where a request type does not declare them, each with its neutral values (which
are fine) and what to do instead."""

ENGINE_OPTIONS: Mapping[str, tuple[Any, ...]] = {
    "begin_suppress_tokens": ([],),
    "diversity_penalty": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "encoder_repetition_penalty": (1,),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "exponential_decay_length_penalty": (),
    "guidance_scale": (1,),
    "min_length": (0,),
    "num_beam_groups": (1,),
    "remove_invalid_values": (False,),
    "renormalize_logits": (False,),
    "sequence_bias": ({},),
    "suppress_tokens": ([],),
    "top_h": (),
}
"""Further options in the names of Hugging Face's `GenerationConfig`, with their neutral values: an engine takes them or
the request is refused, by the engine's `capabilities`."""
