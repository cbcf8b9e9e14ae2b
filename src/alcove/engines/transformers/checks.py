"""Refuses what a batch would break on, before it has begun. Used by `TransformersEngine.check`."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from transformers import GenerationConfig

from alcove.engines.transformers.chain import Setting, chain
from alcove.engines.transformers.options import beams, effective, samples
from alcove.engines.transformers.prompts import Ids
from alcove.errors import InvalidRequest
from alcove.runs import Run

_WIRE_NAMES = {"min_new_tokens": "min_tokens"}
_SWITCHES = frozenset({"remove_invalid_values", "renormalize_logits"})
_IDS = frozenset({"logit_bias", "allowed_token_ids", "stop_token_ids", "suppress_tokens"})
_SEARCH = frozenset({"num_beams", "length_penalty", "early_stopping"})
_LEAST_TEMPERATURE = 1e-4
"""Divided by less than this, logits may leave the range of float32."""


def check_run(run: Run, ids: Ids) -> None:
    """Refuse ids that the model lacks, and options that transformers refuses or that do not go together.

    Raises `InvalidRequest`, which names the field.
    """
    if not run.tokens:
        raise InvalidRequest("The prompt is empty.", param="prompt")
    forced = [token for token in (run.forced_bos, run.forced_eos) if token is not None]
    for token in (*run.tokens, *run.prefix, *run.made, *forced):
        if not 0 <= token < ids.size:
            raise InvalidRequest(
                f"The token id {token} is not one of this model's, which are 0 to {ids.size - 1}.", param="prompt"
            )
    width = beams(run.options)
    if run.outputs > width:
        raise InvalidRequest(f"'n' is {run.outputs}, but the search has {width} beams.", param="n")
    if width > 1 and samples(run.options) and run.options.seed is not None:
        raise InvalidRequest(
            "'seed' does not go with beams that are sampled: set 'num_beams' to 1 or 'temperature' to 0.", param="seed"
        )
    if run.options.allowed_token_ids == ():
        raise InvalidRequest("'allowed_token_ids' is empty: leave it out to allow all.", param="allowed_token_ids")
    for name, value in effective(run.options).items():
        try:
            _check_value(name, value, ids)
        except Exception as error:  # a client's value may break a library in any way
            wire = _WIRE_NAMES.get(name, name)
            raise InvalidRequest(f"'{wire}': {error}", param=wire, code="invalid_value") from error


def _check_value(name: str, value: Any, ids: Ids) -> None:
    """Raises any error for a value that `generate` would break on."""
    if name in _SWITCHES and not isinstance(value, bool):
        raise ValueError("it must be true or false")
    if name == "temperature" and value < _LEAST_TEMPERATURE:
        raise ValueError(f"{value} is below {_LEAST_TEMPERATURE}; 0 is greedy")
    if name in _IDS:
        _check_ids(value, ids)
    if name == "logit_bias" and not all(map(math.isfinite, value.values())):
        raise ValueError("a bias must be a finite number")
    if name in ("presence_penalty", "frequency_penalty") and not math.isfinite(value):
        raise ValueError("it must be a finite number")
    tokens, scores = torch.zeros((1, 1), dtype=torch.long), torch.zeros((1, ids.size))
    nothing = torch.empty(0, dtype=torch.long)
    setting = Setting(eos=torch.tensor(ids.eos, dtype=torch.long), stops=nothing, begin=1, output=1, source=tokens)
    for processor in chain({name: value}, setting):
        processor(tokens, scores)
    if name in _SEARCH:
        GenerationConfig(**{name: value}).validate()


def _check_ids(tokens: Iterable[int], ids: Ids) -> None:
    for token in tokens:
        if not 0 <= token < ids.size:
            raise ValueError(f"{token} is not an id of this model, which are 0 to {ids.size - 1}")
