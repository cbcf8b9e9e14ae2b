"""What a repository of the Hub holds, by the names of its files: its layout, and what of it serving needs.

A list of names goes in, a `Wanted` comes out, or the reason why there is nothing to pull. Called by `store/staging.py`
before anything is fetched; only files of the top folder are ever wanted, never programs or pickles.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from alcove.config.settings import EngineName
from alcove.errors import ModelLoadError

INDEX = "model.safetensors.index.json"
CONFIGURATIONS = ("config.json", "generation_config.json", "tokenizer_config.json", INDEX)
"""What is fetched and looked at before anything else."""
_BESIDE = (
    *("special_tokens_map.json", "added_tokens.json", "tokenizer.json", "chat_template.json", "bootstrap_config.json"),
    *("*vocab*.json", "*vocab*.txt", "merges.txt", "*.jinja", "*.model", "*.spm", "tekken.json"),
)
"""Tokenizers, chat templates, and the first forerunner's configuration."""
PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.npy", "*.npz")
"""Names of weights that are Python pickles, or may be."""
_OTHERS = {
    "*.gguf": "GGUF, which no engine here runs: pull the original model in safetensors instead",
    "adapter_model.*": "an adapter (LoRA) and no model: merge it into its base model, and pull that",
    "model_index.json": "a pipeline that makes images, and alcove serves text to text models",
    "*.onnx": "ONNX, which no engine here runs: pull the original model in safetensors instead",
    "tf_model.h5": "weights of TensorFlow only: take a repository or revision with safetensors",
    "flax_model.*": "weights of Flax only: take a repository or revision with safetensors",
}
"""What else repositories hold, by the names of their files, and what to do about it."""
_UNSAFE = re.compile(r"(^|[/\\])\.\.([/\\]|$)|^[/\\]|^[A-Za-z]:|[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is pulled of a repository."""

    layout: Literal["ctranslate2", "transformers"]
    configurations: tuple[str, ...]
    """Files to look at first."""
    beside: tuple[str, ...]
    """Other small files."""
    weights: tuple[str, ...]
    """The weights, as far as names tell: what an index names comes to them."""


def wanted(repo: str, files: Iterable[str], engine: EngineName) -> Wanted:
    """Choose among a repository's `files` for `engine`. Raises `ModelLoadError`, one line with what to do instead."""
    names = sorted(files)
    if unsafe := next((name for name in names if _UNSAFE.search(name)), None):
        raise ModelLoadError(
            f"{repo}: lists a file named {unsafe!a}, which would lie outside of its folder: nothing of it is fetched"
        )
    top = [name for name in names if "/" not in name]
    layout, weights = _weights(repo, top, engine)
    if "config.json" not in top:
        raise ModelLoadError(f"{repo}: has weights ({weights[0]}) but no config.json, so nobody knows of what")
    configurations = tuple(name for name in CONFIGURATIONS if name in top and (name != INDEX or INDEX in weights))
    beside = tuple(name for name in _matching(top, _BESIDE) if name not in configurations)
    return Wanted(layout, configurations, beside, tuple(name for name in weights if name != INDEX))


def shards(repo: str, index: dict[str, Any], files: Iterable[str]) -> tuple[str, ...]:
    """The files of weights that an index names. Raises `ModelLoadError` for a name that is not a safetensors file of
    the top folder."""
    return tuple(_checked(repo, name, set(files)) for name in shard_names(index))


def shard_names(index: dict[str, Any]) -> list[str]:
    """The names in an index's `weight_map`, unchecked; none when it has no such table."""
    table = index.get("weight_map")
    return sorted({str(name) for name in table.values()}) if isinstance(table, dict) else []


def is_shard_name(name: str) -> bool:
    """Whether it names a safetensors file in the index's own folder."""
    return re.fullmatch(r"[\w.-]+\.safetensors", name, re.ASCII) is not None


def _checked(repo: str, name: str, files: set[str]) -> str:
    if not is_shard_name(name):
        raise ModelLoadError(f"{repo}: {INDEX} names {name!a}, which is no safetensors file beside it: not fetched")
    if name not in files:
        raise ModelLoadError(f"{repo}: {INDEX} names {name}, which the repository does not have: ask its owner")
    return name


def _weights(
    repo: str, top: list[str], engine: EngineName
) -> tuple[Literal["ctranslate2", "transformers"], tuple[str, ...]]:
    converted = ("model.bin",) if "model.bin" in top else ()
    original = next(((name,) for name in ("model.safetensors", INDEX) if name in top), ())
    if original and (engine == "transformers" or not converted):
        return "transformers", original
    if converted and engine != "transformers":
        return "ctranslate2", converted
    if converted:
        raise ModelLoadError(
            f"{repo}: has CTranslate2's weights only (model.bin): pull it without --engine transformers"
        )
    if pickles := _matching(top, PICKLES):
        raise ModelLoadError(
            f"{repo}: has only pickled weights ({pickles[0]}), and loading a pickle runs any code in it; "
            "take a repository or revision with safetensors"
        )
    for pattern, what in _OTHERS.items():
        if found := _matching(top, (pattern,)):
            raise ModelLoadError(f"{repo}: {found[0]} is {what}")
    raise ModelLoadError(f"{repo}: has no weights (model.bin or model.safetensors) in its top folder")


def _matching(names: Iterable[str], patterns: tuple[str, ...]) -> list[str]:
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
