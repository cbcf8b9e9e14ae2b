"""The processors that carry options out, in the order in which `generate` itself would apply them.

Used by `groups.py` for rows of equal options, and by `checks.py`, which learns from them what values they refuse.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers.generation import logits_process as theirs

from alcove.engines.transformers import penalties as ours
from alcove.engines.transformers.nucleus import TopP

Processor = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes ids (rows, length), without padding, and scores (rows, vocabulary); returns scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What processors must know of the rows that they work on."""

    eos: torch.Tensor
    """The model's own ids that end an output."""
    stops: torch.Tensor
    """Further ones, from `stop_token_ids`."""
    begin: int
    """How many ids of a row stood there before `generate` made any."""
    output: int
    """Place in its ids of a row's first output token; a forced first token stands between."""
    source: torch.Tensor
    """(rows, length): the encoder's ids."""
    least: int = 1
    """How many tokens a cut must leave, so that a search can go on."""

    @property
    def ends(self) -> torch.Tensor:
        """All ids that end an output."""
        return torch.cat([self.eos, self.stops])


_MAKERS: Mapping[str, Callable[[Any, Setting], Processor]] = {
    "logit_bias": lambda value, _: ours.LogitBias(value),
    "allowed_token_ids": lambda value, at: ours.AllowedTokens([*value, *at.eos.tolist()]),
    "sequence_bias": lambda value, _: theirs.SequenceBiasLogitsProcessor(value),
    "encoder_repetition_penalty": lambda value, at: theirs.EncoderRepetitionPenaltyLogitsProcessor(value, at.source),
    "repetition_penalty": lambda value, _: theirs.RepetitionPenaltyLogitsProcessor(value),
    "presence_penalty": lambda value, at: ours.OutputPenalty(value, at.output, each=False),
    "frequency_penalty": lambda value, at: ours.OutputPenalty(value, at.output, each=True),
    "no_repeat_ngram_size": lambda value, _: theirs.NoRepeatNGramLogitsProcessor(value),
    "encoder_no_repeat_ngram_size": lambda value, at: theirs.EncoderNoRepeatNGramLogitsProcessor(value, at.source),
    "bad_words_ids": lambda value, at: theirs.NoBadWordsLogitsProcessor([list(ids) for ids in value], at.eos),
    "min_length": lambda value, at: theirs.MinLengthLogitsProcessor(value, at.ends),
    "min_new_tokens": lambda value, at: theirs.MinNewTokensLengthLogitsProcessor(at.begin, value, at.ends),
    "ignore_eos": lambda _, at: theirs.SuppressTokensLogitsProcessor(at.eos.tolist()),
    "remove_invalid_values": lambda _, __: theirs.InfNanRemoveLogitsProcessor(),
    "exponential_decay_length_penalty": lambda value, at: theirs.ExponentialDecayLengthPenalty(
        value, at.ends, at.begin
    ),
    "suppress_tokens": lambda value, _: theirs.SuppressTokensLogitsProcessor(value),
    "temperature": lambda value, _: theirs.TemperatureLogitsWarper(value),
    "top_h": lambda value, _: theirs.TopHLogitsWarper(value),
    "top_k": lambda value, at: theirs.TopKLogitsWarper(value, min_tokens_to_keep=at.least),
    "top_p": lambda value, at: TopP(value, least=at.least),
    "min_p": lambda value, at: theirs.MinPLogitsWarper(value, min_tokens_to_keep=at.least),
    "typical_p": lambda value, at: theirs.TypicalLogitsWarper(value, min_tokens_to_keep=at.least),
    "epsilon_cutoff": lambda value, at: theirs.EpsilonLogitsWarper(value, min_tokens_to_keep=at.least),
    "eta_cutoff": lambda value, at: theirs.EtaLogitsWarper(
        value, min_tokens_to_keep=at.least, device=at.eos.device.type
    ),
    "renormalize_logits": lambda _, __: theirs.LogitNormalization(),
}
"""Those of `_get_logits_processor` in its order; ours among them, the penalties side by side as in vLLM."""

SEES_IDS = frozenset(
    {
        *("presence_penalty", "frequency_penalty", "sequence_bias", "encoder_repetition_penalty", "repetition_penalty"),
        *("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids", "min_length", "min_new_tokens"),
        "exponential_decay_length_penalty",
    }
)
"""Options whose processors look at ids or their number, so that rows must be of equal length to share them."""


def chain(options: Mapping[str, Any], setting: Setting) -> list[Processor]:
    """The processors of `options`, which are effective ones. Raises what transformers raises for their values."""
    return [make(options[name], setting) for name, make in _MAKERS.items() if name in options]
