"""Random weights for a configuration: wide enough that greedy output varies, with an end of sequence now and then."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, GenerationConfig, PretrainedConfig
from transformers.utils import logging

SPREAD = 0.5
"""Standard deviation of the weights: at transformers' own 0.02 a tiny model repeats one token."""
EMBEDDING_SPREAD = 0.12
"""That of the token tables: less, so that a token's own vector does not outweigh what the layers add to it."""
END_LENGTH = 1.6
"""How much longer the end of sequence's vector is than the others, so that it wins every dozen steps or so."""


def save_weights(
    config: PretrainedConfig,
    generation: dict[str, Any],
    folder: Path,
    *,
    kind: Literal["seq2seq", "causal"],
    seed: int,
    rare: Iterable[int],
    config_file: dict[str, Any],
) -> None:
    """Write model.safetensors, config.json (with the keys `config_file`) and generation_config.json into `folder`.

    The ids in `rare` (languages, rows without a token) get vectors so short that they are hardly ever chosen.
    """
    logging.disable_progress_bar()
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    try:
        auto = AutoModelForSeq2SeqLM if kind == "seq2seq" else AutoModelForCausalLM
        model = auto.from_config(config, dtype=torch.float32)
        if config_file.get("tie_word_embeddings") is False and config.tie_word_embeddings:
            model.lm_head.weight = nn.Parameter(torch.empty_like(model.lm_head.weight))
        with torch.no_grad():
            _widen(model)
            _weigh_tokens(model, generation, list(rare))
        model.generation_config = GenerationConfig(**generation)
        model.save_pretrained(folder)
    finally:
        torch.random.set_rng_state(state)
        logging.enable_progress_bar()
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config_file, indent=2))


def _widen(model: Any) -> None:
    fixed = {
        id(module.weight)
        for module in model.modules()
        if "Sinusoidal" in type(module).__name__ and hasattr(module, "weight")
    }
    for name, parameter in model.named_parameters():  # a matrix that has several names comes once
        if id(parameter) in fixed:
            continue
        if name.endswith("bias"):
            parameter.normal_(std=0.05)
        elif parameter.dim() == 1:
            # Scales of the norms, of either sign: with tied embeddings the model would else repeat its input.
            parameter.normal_(std=1.0)
        else:
            parameter.normal_(std=EMBEDDING_SPREAD if parameter.shape[0] >= model.config.vocab_size else SPREAD)


def _weigh_tokens(model: Any, generation: dict[str, Any], rare: list[int]) -> None:
    ends = generation["eos_token_id"]
    tables = [model.get_output_embeddings().weight]
    if model.get_input_embeddings().weight is not tables[0]:
        tables.append(model.get_input_embeddings().weight)
    for table in tables:
        table[[ends] if isinstance(ends, int) else ends] *= END_LENGTH
        table[rare] *= 0.1
        if "pad_token_id" in generation:
            table[generation["pad_token_id"]] = 0
