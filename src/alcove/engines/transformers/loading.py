"""A folder and the model's settings go in, a transformers model on its device comes out; called by `load` once."""

import importlib
import logging
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import torch
import transformers
from transformers.utils import logging as chatter

from alcove.config.settings import ModelSettings
from alcove.engines.transformers.placement import Placement, choose_placement
from alcove.errors import AlcoveError, ModelLoadError
from alcove.store.folder import ModelFolder

logger = logging.getLogger(__name__)

TAKEN = frozenset({"attn_implementation", "max_memory", "offload_buffers", "offload_folder", "subfolder", "variant"})
"""Keyword arguments of `from_pretrained` that are passed on, beside those that `choose_placement` reads."""
ONLY = {"trust_remote_code": False, "use_safetensors": True}
"""Keyword arguments that have one value here: a model folder is data, and Python's pickles are code."""
WITHOUT_EFFECT = frozenset(
    {"cache_dir", "force_download", "local_files_only", "low_cpu_mem_usage", "proxies", "revision", "token"}
)
"""Keyword arguments that say how to download, which a folder on disk needs no more."""
TABLES = frozenset({"model", "tokenizer", "decode", "continuous_batching"})
"""Keys of `engine_options`; the tokenizer's are read by `pipeline/tokenizers`, the last by `continuous/knobs.py`."""


def load_model(folder: ModelFolder, settings: ModelSettings) -> Any:
    """The folder's model in evaluation mode, without generation defaults of its own. Raises `ModelLoadError`."""
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()
    wishes = _wishes(settings)
    placement = choose_placement(settings, wishes)
    arguments = {name: value for name, value in wishes.items() if name in TAKEN} | dict(placement.arguments)
    auto = transformers.AutoModelForSeq2SeqLM if folder.kind == "seq2seq" else transformers.AutoModelForCausalLM
    try:
        model, report = auto.from_pretrained(
            folder.path,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # `_check_complete` says better which they are
            **arguments,
        )
        _check_complete(report, folder, settings)
        if placement.device is not None:
            model.to(placement.device)
    except AlcoveError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelLoadError(
            f"model '{settings.name}': transformers cannot load {folder.path} (model_type "
            f"{folder.model_type}): {reason}"
        ) from error
    logger.info(
        "Model '%s': %s in %s on %s", settings.name, type(model).__name__, model.dtype, _where(model, placement)
    )
    return model.eval()


def import_class(folder: ModelFolder) -> None:
    """Import the code of the folder's model, which transformers does only when it is loaded: more than a thousand
    modules of torch and accelerate come along, and they hold up every thread."""
    importlib.import_module("accelerate")
    for name in folder.config.get("architectures") or ():
        getattr(transformers, str(name), None)


def _wishes(settings: ModelSettings) -> Mapping[str, Any]:
    """The `model` table of `engine_options`, checked: every key is honoured, without effect, or refused by name."""
    label = f"model '{settings.name}': engine_options"
    for key in settings.engine_options:
        if key not in TABLES:
            raise ModelLoadError(f"{label}.{key}: the engine transformers takes {', '.join(sorted(TABLES))}")
    wishes = settings.engine_options.get("model", {})
    if not isinstance(wishes, Mapping):
        raise ModelLoadError(f"{label}.model: must be a table of keyword arguments, not {wishes!r}")
    for key, value in wishes.items():
        if key in ONLY and value is not ONLY[key]:
            raise ModelLoadError(
                f"{label}.model.{key}: only {ONLY[key]}: alcove runs no code from a model folder: remove the key; a "
                "family that transformers has itself needs none"
            )
        if key == "subfolder" and (PurePath(str(value)).is_absolute() or ".." in PurePath(str(value)).parts):
            raise ModelLoadError(f"{label}.model.{key}: {value!r} is not within the model's folder: name one that is")
        if key == "attn_implementation" and "/" in str(value):
            raise ModelLoadError(f"{label}.model.{key}: {value!r} is code from the Hub; take sdpa or eager")
        if key in WITHOUT_EFFECT:
            logger.debug("%s.model.%s has no effect on a folder", label, key)
        elif key not in TAKEN | Placement.KEYS | ONLY.keys():
            known = ", ".join(sorted(TAKEN | Placement.KEYS))
            raise ModelLoadError(f"{label}.model.{key}: unknown or not allowed; alcove takes {known}")
    return wishes


def _check_complete(report: Mapping[str, Any], folder: ModelFolder, settings: ModelSettings) -> None:
    """transformers fills weights that a folder lacks with random numbers, and only logs it."""
    for name, stored, wanted in sorted(report["mismatched_keys"]):
        raise ModelLoadError(
            f"model '{settings.name}': the tensor {name} in {folder.path} has the shape {tuple(stored)}, where its "
            f"config.json wants {tuple(wanted)}: take both from the same model"
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelLoadError(
            f"model '{settings.name}': the weights in {folder.path} lack {len(missing)} of the model's tensors "
            f"({missing[0]}, ...): take a complete model, or the config.json that belongs to these weights"
        )


def _where(model: Any, placement: Placement) -> str:
    if placement.device is not None:
        return str(torch.device(placement.device))
    places = getattr(model, "hf_device_map", {"": model.device}).values()  # a map of one place leaves none behind
    return f"the devices of its map ({', '.join(sorted({str(place) for place in places}))})"
