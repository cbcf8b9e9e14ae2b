"""How much memory a model will take: a `ModelFolder` goes in, bytes come out, without reading the weights.

Asked by the pool before a model is loaded, and by `alcove list`. An estimate: what is loaded is measured.
"""

import math
from pathlib import Path

from alcove.store.folder import ModelFolder
from alcove.store.modelbin import read_modelbin
from alcove.store.safetensors_header import read_header
from alcove.store.transformers_layout import weight_files

WORK = 1.25
"""Memory of a model at work as a multiple of its weights: keys and values, and the widest operators."""
OVERHEAD = 24 * 1024 * 1024
"""Tokenizer, tables and threads of a model of any size, in bytes."""

_SIZES = {"float32": 4, "float16": 2, "bfloat16": 2, "int16": 2, "int8": 1}
"""Bytes of a weight, by the first part of a compute type's name (`int8_float32` is `int8`)."""


def memory_bytes(folder: ModelFolder, compute_type: str = "auto") -> int:
    """About how much memory the model takes once it has worked. Raises `ModelLoadError` for files that are broken."""
    match folder.layout:
        case "ctranslate2":
            weights = _ctranslate2(folder.path / "model.bin", compute_type)
        case "transformers":
            weights = _transformers(folder.path, compute_type)
        case "echo":
            weights = 0
    return int(weights * WORK) + OVERHEAD


def _ctranslate2(path: Path, compute_type: str) -> float:
    """The file holds little but weights, so its size by theirs tells in which type they are."""
    size = path.stat().st_size
    numbers = max(read_modelbin(path).numbers, 1)
    stored = min((1, 2, 4), key=lambda width: abs(math.log2(width * numbers / size)))
    # a processor computes float16 as float32; int8 stays what it is
    kept = 4 if stored == 2 else stored
    return size / stored * _SIZES.get(compute_type.partition("_")[0], kept)


def _transformers(folder: Path, compute_type: str) -> float:
    """Processors keep the weights in float32 unless another type is asked for."""
    numbers = sum(_numbers(path) for path in weight_files(folder))
    return numbers * max(_SIZES.get(compute_type, 4), 2)


def _numbers(path: Path) -> int:
    """How many numbers the tensors of a safetensors file have, by its header."""
    return sum(math.prod(tensor.shape) for tensor in read_header(path).values())
