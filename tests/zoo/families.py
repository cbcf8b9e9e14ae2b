"""The families of the zoo by their names."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from . import causal, seq2seq
from .made import Made


@dataclass(frozen=True)
class Family:
    kind: Literal["seq2seq", "causal"]
    make: Callable[[Path], Made]
    """Writes the tokenizer's files into the folder."""
    seed: int = 0
    """Of the weights; chosen so that of `text.PROMPTS` some end early, some go on, and none repeats one token only."""
    config_file: dict[str, Any] = field(default_factory=dict)
    """Keys of config.json that transformers would write otherwise than the Hub's files have them."""


FAMILIES = {
    "t5": Family("seq2seq", seq2seq.t5, seed=48, config_file={"tie_word_embeddings": True}),
    "t5-untied": Family("seq2seq", seq2seq.t5_untied, seed=22, config_file={"tie_word_embeddings": False}),
    "mt5": Family("seq2seq", seq2seq.mt5, seed=30, config_file={"tie_word_embeddings": False}),
    "umt5": Family("seq2seq", seq2seq.umt5, seed=148, config_file={"tie_word_embeddings": False}),
    "bart": Family("seq2seq", seq2seq.bart, seed=1),
    "pegasus": Family("seq2seq", seq2seq.pegasus, seed=121),
    "marian": Family("seq2seq", seq2seq.marian, seed=53),
    "m2m100": Family("seq2seq", seq2seq.m2m100, seed=24),
    "nllb": Family("seq2seq", seq2seq.nllb, seed=50),
    "mbart": Family("seq2seq", seq2seq.mbart, seed=31),
    "mbart50": Family("seq2seq", seq2seq.mbart50, seed=15),
    "gpt2": Family("causal", causal.gpt2, seed=21),
    "opt": Family("causal", causal.opt, seed=12),
    "gpt-neox": Family("causal", causal.gpt_neox, seed=17),
    "llama": Family("causal", causal.llama, seed=4),
    "mistral": Family("causal", causal.mistral, seed=1),
    "qwen2": Family("causal", causal.qwen2, seed=1),
    "qwen3": Family("causal", causal.qwen3, seed=1),
    "gemma": Family("causal", causal.gemma, seed=9),
    "phi": Family("causal", causal.phi, seed=21),
}
