"""The header of a CTranslate2 `model.bin`: what model it is and its tables' shapes, without reading the weights.

Read by `ctranslate2_layout.py` and `footprint.py`. The format is that of `ctranslate2/specs/model_spec.py`,
`ModelSpec._serialize`.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from alcove.errors import ModelLoadError

VERSIONS = range(4, 7)
"""Binary versions that are understood: 4 brought the variables' types, 6 is that of CTranslate2 4.8."""
_WIDTHS = (4, 1, 2, 4, 2, 2)
"""Bytes of a number by the types' ids: float32, int8, int16, int32, float16, bfloat16."""
MOST_VARIABLES = 1_000_000
"""More than any model has; a count above it means that the file is something else."""


@dataclass(frozen=True, slots=True)
class ModelBin:
    """What the header says."""

    spec: str
    """CTranslate2's name for the kind of model, e.g. `TransformerSpec`."""
    shapes: Mapping[str, tuple[int, ...]]
    """Shape of each variable, aliases included, by its path, e.g. `decoder/embeddings/weight`."""
    numbers: int
    """How many numbers the variables have, each counted once however many aliases it has."""


def read_modelbin(path: Path) -> ModelBin:
    """Read the header of the file `path`. Raises `ModelLoadError` when it is no whole CTranslate2 model."""
    try:
        with path.open("rb") as file:
            return _Reader(file, path.stat().st_size).header()
    except (struct.error, UnicodeDecodeError, _NotWhole):
        raise ModelLoadError(
            f"{path} is not a whole CTranslate2 model (version {VERSIONS[0]} to {VERSIONS[-1]}): "
            "download or convert it again"
        ) from None


class _NotWhole(Exception):
    pass


class _Reader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def header(self) -> ModelBin:
        if self._number("I") not in VERSIONS:
            raise _NotWhole
        spec = self._string()
        self._number("I")  # the specification's revision, which CTranslate2 checks itself
        shapes = dict(self._variable() for _ in self._count())
        numbers = sum(math.prod(shape) for shape in shapes.values())
        for _ in self._count():
            alias, name = self._string(), self._string()
            shapes[alias] = shapes.get(name, ())
        return ModelBin(spec, shapes, numbers)

    def _variable(self) -> tuple[str, tuple[int, ...]]:
        name = self._string()
        shape = tuple(self._number("I") for _ in range(self._number("B")))
        type_id, length = self._number("B"), self._number("I")
        width = _WIDTHS[type_id] if type_id < len(_WIDTHS) else None
        end = length + self._file.tell()
        # CTranslate2 makes room by the shape before it reads by the length
        if end > self._size or (width is not None and math.prod(shape) * width != length):
            raise _NotWhole
        self._file.seek(end)
        return name, shape

    def _count(self) -> range:
        count = self._number("I")
        if count > MOST_VARIABLES:
            raise _NotWhole
        return range(count)

    def _number(self, kind: str) -> int:
        number: int
        (number,) = struct.unpack(f"={kind}", self._file.read(struct.calcsize(f"={kind}")))
        return number

    def _string(self) -> str:
        length = self._number("H")
        data = self._file.read(length)
        if len(data) != length:
            raise _NotWhole
        return data[:-1].decode()
