"""A run's options in transformers' terms: which are honoured, and which of them change anything.

The model's own generation_config.json has no say here: its wishes are in the run's options.
"""

import json
from collections.abc import Mapping
from typing import Any

from alcove.runs import Options
from alcove.store.folder import Kind

_SAME = "as in transformers"
_SAMPLING = "when sampling"

HONOURED: Mapping[str, str] = {
    "temperature": "0 is greedy",
    "top_p": _SAMPLING,
    "top_k": "when sampling; 0 is all",
    "min_p": _SAMPLING,
    "typical_p": _SAMPLING,
    "top_h": _SAMPLING,
    "epsilon_cutoff": _SAMPLING,
    "eta_cutoff": _SAMPLING,
    "seed": "when sampling; not of beams that are sampled",
    "num_beams": "outputs arrive whole",
    "length_penalty": "of a beam search",
    "early_stopping": 'true, false, "never"; false where nothing is said',
    "logit_bias": "before all other options",
    "allowed_token_ids": "the end of sequence stays allowed",
    "repetition_penalty": f"{_SAME}; a causal model's prompt counts",
    "presence_penalty": "over the output; after repetition_penalty",
    "frequency_penalty": "over the output; after repetition_penalty",
    "no_repeat_ngram_size": f"{_SAME}; a causal model's prompt counts",
    "bad_words_ids": _SAME,
    "sequence_bias": _SAME,
    "suppress_tokens": _SAME,
    "encoder_no_repeat_ngram_size": _SAME,
    "encoder_repetition_penalty": _SAME,
    "exponential_decay_length_penalty": _SAME,
    "min_new_tokens": f"{_SAME}; a forced first token counts",
    "min_length": _SAME,
    "stop_token_ids": "further ends of sequence; delivered",
    "ignore_eos": "the end of sequence is banned",
    "remove_invalid_values": _SAME,
    "renormalize_logits": "of a beam search; nothing else depends on it",
    "logprobs": "of the model, before any option; of a beam search's outputs by a pass of their own",
    "prompt_logprobs": "by a pass over what was given",
}
"""What is honoured, and how. Left out: what needs a second model or code from the Hub (assisted, contrastive, group
and constrained search), what the port or the pipeline does (stop strings, limits, ids), and what is speech's."""

ENCODER_ONLY = frozenset({"encoder_no_repeat_ngram_size", "encoder_repetition_penalty"})
"""Options that look at an encoder's source."""
SAMPLING = frozenset(
    {"temperature", "top_p", "top_k", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff", "seed"}
)
BEAMS = frozenset({"length_penalty", "early_stopping", "renormalize_logits"})
AT_REST: Mapping[str, Any] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "num_beams": 1,
    "early_stopping": False,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "min_new_tokens": 0,
    "min_length": 0,
    "ignore_eos": False,
    "remove_invalid_values": False,
    "renormalize_logits": False,
}
"""Values that change nothing; some of transformers' processors refuse them."""
_NUMBERS = frozenset({*SAMPLING, "length_penalty", "repetition_penalty", "encoder_repetition_penalty"}) - {
    "top_k",
    "seed",
}
"""Where transformers wants a float and takes no int."""


def samples(options: Options) -> bool:
    """Whether tokens are drawn; otherwise the most probable ones are taken."""
    return (options.temperature or 0.0) > 0


def beams(options: Options) -> int:
    """Width of the search; 1 is none."""
    return options.num_beams or 1


def honoured(kind: Kind) -> Mapping[str, str]:
    """Names of options, and how each is honoured for models of this kind."""
    return {name: how for name, how in HONOURED.items() if kind == "seq2seq" or name not in ENCODER_ONLY}


def effective(options: Options) -> dict[str, Any]:
    """The options that change anything: without those of a search or a sampling that is not done, and those at rest.

    Of `temperature`, 1 is at rest: whether to sample at all is `samples`'s to say.
    """
    idle = (frozenset() if samples(options) else SAMPLING) | (frozenset() if beams(options) > 1 else BEAMS)
    return {
        name: float(value) if name in _NUMBERS and isinstance(value, int) else value
        for name, value in options.given().items()
        if name not in idle and value not in ([], {}, ()) and not (name in AT_REST and value == AT_REST[name])
    }


def key(options: Options) -> str:
    """Equal where the same processors serve: the seed is each row's own."""
    shared = {name: value for name, value in effective(options).items() if name != "seed"}
    return json.dumps([samples(options), shared], sort_keys=True, default=str)
