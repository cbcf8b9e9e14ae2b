"""Where a model goes and in which precision: settings go in, arguments of `from_pretrained` come out.

Called by `loading.py`. The table `engine_options.model` goes before `compute_type` and `device`, as in the forerunner.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from alcove.config.settings import ModelSettings
from alcove.errors import ModelLoadError

logger = logging.getLogger(__name__)

PRECISIONS = ("float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How a model is loaded."""

    KEYS: ClassVar[frozenset[str]] = frozenset({"device_map", "dtype", "load_in_8bit", "torch_dtype"})
    """Keyword arguments of `from_pretrained` that are read here."""
    arguments: Mapping[str, Any]
    """What `from_pretrained` gets of them."""
    device: str | None
    """Where the model goes afterwards; None: accelerate has placed it by its map."""


def choose_placement(settings: ModelSettings, wishes: Mapping[str, Any]) -> Placement:
    """Decide by the settings and the table of `from_pretrained` arguments.

    A device or precision that this machine or engine lacks is one warning and the next best, or `ModelLoadError`
    with `strict_device`.
    """
    device_map = wishes.get("device_map")
    if device_map is None and settings.device == "map":
        device_map = "auto"
    if device_map is not None:
        on_cpu = not torch.cuda.is_available()
        return Placement(
            arguments={"dtype": _precision(settings, wishes, on_cpu), "device_map": device_map}, device=None
        )
    device = _device(settings)
    return Placement(arguments={"dtype": _precision(settings, wishes, device == "cpu")}, device=device)


def _device(settings: ModelSettings) -> str:
    match = re.fullmatch(r"cuda(?::(\d+))?", settings.device)
    if settings.device not in ("auto", "cpu") and match is None:
        raise ModelLoadError(
            f"model '{settings.name}': device '{settings.device}' is unknown: auto, cpu, cuda, cuda:N or map"
        )
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if match is None:
        return "cuda" if settings.device == "auto" and found else "cpu"
    if int(match[1] or 0) < found:
        return settings.device
    return _instead(settings, f"device '{settings.device}' is not on this machine ({found} CUDA devices)", "cpu")


def _precision(settings: ModelSettings, wishes: Mapping[str, Any], on_cpu: bool) -> str:
    """The weights' type in memory; `auto`, the file's own, is kept on CUDA and float32 on a CPU."""
    automatic = "float32" if on_cpu else "auto"
    asked = wishes.get("dtype", wishes.get("torch_dtype"))
    if wishes.get("load_in_8bit"):
        asked = "int8"
    if asked is None:
        asked = automatic if settings.compute_type == "auto" else settings.compute_type
    if asked == "auto" or asked in PRECISIONS:
        return str(asked)
    if str(asked).startswith("int8"):
        # What transformers calls int8 is bitsandbytes', a CUDA library; on a CPU CTranslate2's int8 is the fast one.
        return _instead(
            settings, f"the engine transformers has no {asked} (CTranslate2 has: convert the model)", automatic
        )
    raise ModelLoadError(
        f"model '{settings.name}': precision {asked!r} is unknown: auto, {', '.join(PRECISIONS)} or int8"
    )


def _instead(settings: ModelSettings, problem: str, choice: str) -> str:
    if settings.strict_device:
        raise ModelLoadError(f"model '{settings.name}': {problem}, and strict_device is set")
    logger.warning("Model '%s': %s; %s it is", settings.name, problem, choice)
    return choice
