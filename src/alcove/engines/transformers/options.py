"""A run's options in transformers' terms: which are honoured, what refuses a value, the `GenerationConfig` of a call.

Used by `engine.py`. The model's own generation_config.json has no say here: its wishes are in the run's options.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation import logits_process as processors

from alcove.errors import InvalidRequest
from alcove.runs import Options, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """The model's own token ids, and how many there are."""

    eos: tuple[int, ...]
    pad: int
    start: int | None
    """What the decoder starts from (encoder-decoder)."""
    size: int
    """Ids are below this: rows of the embedding table."""


HONOURED: Mapping[str, str] = {
    "temperature": "0 is greedy",
    "top_p": "as in transformers",
    "top_k": "0 is all",
    "num_beams": "outputs arrive whole",
    "length_penalty": "of a beam search",
    "early_stopping": 'true, false, "never"',
    "no_repeat_ngram_size": "as in transformers",
    "repetition_penalty": "as in transformers; a causal model's prompt counts",
    "min_new_tokens": "as in transformers",
    "min_length": "as in transformers",
    "min_p": "when sampling",
    "top_h": "when sampling",
    "typical_p": "when sampling",
    "epsilon_cutoff": "when sampling",
    "eta_cutoff": "when sampling",
    "bad_words_ids": "as in transformers",
    "sequence_bias": "as in transformers",
    "suppress_tokens": "as in transformers",
    "encoder_no_repeat_ngram_size": "as in transformers",
    "encoder_repetition_penalty": "as in transformers",
    "exponential_decay_length_penalty": "as in transformers",
    "remove_invalid_values": "as in transformers",
    "renormalize_logits": "as in transformers",
}
"""What is honoured, and how. Left out: what needs a second model or code from the Hub (assisted, contrastive, group
and constrained search), what the port or the pipeline does (stop strings, limits, ids), and what is speech's."""

ENCODER_ONLY = frozenset({"encoder_no_repeat_ngram_size", "encoder_repetition_penalty"})
"""Options that look at an encoder's source."""
SAMPLING = frozenset({"temperature", "top_p", "top_k", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff"})
BEAMS = frozenset({"length_penalty", "early_stopping"})
AT_REST: Mapping[str, Any] = {
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "min_new_tokens": 0,
    "min_length": 0,
    "remove_invalid_values": False,
    "renormalize_logits": False,
}
"""Values that change nothing; some of transformers' processors refuse them."""
_NUMBERS = frozenset({*SAMPLING, "length_penalty", "repetition_penalty", "encoder_repetition_penalty"}) - {"top_k"}
"""Where transformers wants a float and takes no int."""

Processor = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_PROCESSORS: Mapping[str, Callable[[Any, list[int], torch.Tensor], Processor]] = {
    "temperature": lambda value, _, __: processors.TemperatureLogitsWarper(value),
    "top_p": lambda value, _, __: processors.TopPLogitsWarper(value),
    "top_k": lambda value, _, __: processors.TopKLogitsWarper(value),
    "min_p": lambda value, _, __: processors.MinPLogitsWarper(value),
    "top_h": lambda value, _, __: processors.TopHLogitsWarper(value),
    "typical_p": lambda value, _, __: processors.TypicalLogitsWarper(value),
    "epsilon_cutoff": lambda value, _, __: processors.EpsilonLogitsWarper(value),
    "eta_cutoff": lambda value, _, __: processors.EtaLogitsWarper(value),
    "no_repeat_ngram_size": lambda value, _, __: processors.NoRepeatNGramLogitsProcessor(value),
    "repetition_penalty": lambda value, _, __: processors.RepetitionPenaltyLogitsProcessor(value),
    "min_length": lambda value, eos, _: processors.MinLengthLogitsProcessor(value, eos),
    "bad_words_ids": lambda value, eos, _: processors.NoBadWordsLogitsProcessor(value, eos),
    "sequence_bias": lambda value, _, __: processors.SequenceBiasLogitsProcessor(value),
    "suppress_tokens": lambda value, _, __: processors.SuppressTokensLogitsProcessor(value),
    "encoder_no_repeat_ngram_size": lambda value, _, ids: processors.EncoderNoRepeatNGramLogitsProcessor(value, ids),
    "encoder_repetition_penalty": lambda value, _, ids: processors.EncoderRepetitionPenaltyLogitsProcessor(value, ids),
    "exponential_decay_length_penalty": lambda value, eos, _: processors.ExponentialDecayLengthPenalty(value, eos, 1),
}
"""What carries an option out. `generate` makes them, and they refuse values, when a call has begun."""
_SWITCHES = ("remove_invalid_values", "renormalize_logits")


def effective(options: Options) -> dict[str, Any]:
    """The options that change anything: without those of a search or a sampling that is not done, and those at rest."""
    given = options.given()
    idle = (frozenset() if given["temperature"] > 0 else SAMPLING) | (frozenset() if given["num_beams"] > 1 else BEAMS)
    return {
        name: float(value) if name in _NUMBERS and isinstance(value, int) else value
        for name, value in given.items()
        if name not in idle and value not in ([], {}) and not (name in AT_REST and value == AT_REST[name])
    }


def check_options(run: Run, ids: Ids) -> None:
    """Refuse values that transformers would refuse when a batch has begun: `InvalidRequest` naming the option."""
    options = effective(run.options)
    if run.outputs > options["num_beams"]:
        raise InvalidRequest(f"'n' is {run.outputs}, but the search has {options['num_beams']} beams.", param="n")
    tokens, scores = torch.zeros((1, 1), dtype=torch.long), torch.zeros((1, ids.size))
    for name, value in options.items():
        try:
            if name in _SWITCHES and not isinstance(value, bool):
                raise ValueError("it must be true or false")
            if name == "suppress_tokens" and any(not 0 <= token < ids.size for token in value):
                raise ValueError(f"ids of this model are 0 to {ids.size - 1}")
            if name in _PROCESSORS:
                _PROCESSORS[name](value, list(ids.eos), tokens)(tokens, scores)
            GenerationConfig(**{name: value}).validate()
        except Exception as error:  # a client's value may break a library in any way
            raise InvalidRequest(f"'{name}': {error}", param=name, code="invalid_value") from error


def make_config(options: Options, ids: Ids, *, limit: int, outputs: int) -> GenerationConfig:
    """The configuration of one call of `generate` that makes at most `limit` tokens a row."""
    searching = options.given()["num_beams"] > 1
    return GenerationConfig(
        **{
            "top_k": 0,  # where it is left out, transformers samples from 50
            **effective(options),
            "do_sample": options.given()["temperature"] > 0,
            "max_new_tokens": limit,
            "num_return_sequences": outputs,
            "eos_token_id": list(ids.eos) or None,
            "pad_token_id": ids.pad,
            "return_dict_in_generate": searching,
        }
    )
