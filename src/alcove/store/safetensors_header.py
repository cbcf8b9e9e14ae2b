"""The header of a safetensors file: its tensors' types and shapes, without reading the weights.

Read before anything loads the file, so that what is not safetensors (a pickle under that name, an HTML page, half a
file) never gets that far. The format: 8 bytes of length, JSON, then the tensors' bytes without a gap.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from alcove.errors import ModelLoadError

MOST_HEADER = 100_000_000
"""Longest header in bytes that the format allows."""
_PICKLES = (b"\x80", b"PK\x03\x04")
"""How pickles begin, as Python writes them and as torch does."""


class Tensor(NamedTuple):
    """What the header says of a tensor."""

    type: str
    """`F32`, `BF16`, `I8`..."""
    shape: tuple[int, ...]


def read_header(path: Path) -> Mapping[str, Tensor]:
    """The tensors of the file `path` by their names. Raises `ModelLoadError` when it is not whole, or no such file."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            start = file.read(8)
            if len(start) < 8:
                raise ValueError("it ends before its header")
            (length,) = struct.unpack("<Q", start)
            if length > min(MOST_HEADER, size - 8):
                if start.startswith(_PICKLES):
                    raise ModelLoadError(
                        f"{path} is a Python pickle under the name of a safetensors file, and loading a pickle runs "
                        "any code in it: take the model from elsewhere"
                    )
                raise ValueError("its header is longer than the file")
            tensors, end = _tensors(json.loads(file.read(length)))
            if end != size - 8 - length:
                raise ValueError(f"its header speaks of {end} bytes of weights, and it has {size - 8 - length}")
    except OSError as error:
        raise ModelLoadError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise ModelLoadError(f"{path} is not a whole safetensors file ({error}): download it again") from None
    return tensors


def _tensors(header: dict[str, Any]) -> tuple[dict[str, Tensor], int]:
    """The tensors, and where the last one ends."""
    tensors: dict[str, Tensor] = {}
    end = 0
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        tensors[name] = Tensor(str(entry["dtype"]), tuple(int(number) for number in entry["shape"]))
        end = max(end, int(entry["data_offsets"][1]))
    return tensors, end
