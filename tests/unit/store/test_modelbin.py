"""The header of model.bin, against files that CTranslate2 itself writes."""

import struct
from pathlib import Path

import numpy as np
import pytest
from ctranslate2.specs import TransformerDecoderModelSpec
from ctranslate2.specs.model_spec import CURRENT_BINARY_VERSION, LayerSpec, ModelSpec

from alcove.errors import ModelLoadError
from alcove.store.modelbin import VERSIONS, read_modelbin


class Table(LayerSpec):
    def __init__(self, weight: np.ndarray) -> None:
        self.weight = weight


class Small(ModelSpec):
    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Table(np.arange(12, dtype=np.float32).reshape(4, 3))
        self.projection = Table(np.arange(12, dtype=np.float32).reshape(4, 3))
        self.scale = np.float32(2.0)

    @property
    def name(self) -> str:
        return "SmallSpec"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    spec = Small()
    spec.validate()
    spec.optimize("int8")
    spec.save(str(tmp_path))
    return tmp_path / "model.bin"


def test_the_name_and_all_shapes_are_read_aliases_among_them(model: Path) -> None:
    header = read_modelbin(model)
    assert header.spec == "SmallSpec"
    assert dict(header.shapes) == {"embeddings/weight": (4, 3), "projection/weight": (4, 3), "scale": ()}


def test_it_reads_what_the_installed_library_writes() -> None:
    assert CURRENT_BINARY_VERSION in VERSIONS
    # the name is what `store/ctranslate2_layout.py` goes by
    assert TransformerDecoderModelSpec.from_config(1, 1).name == "TransformerDecoderSpec"


@pytest.mark.parametrize("keep", [0, 3, 7, 40, -1])
def test_a_file_that_is_cut_off_is_named(model: Path, keep: int) -> None:
    model.write_bytes(model.read_bytes()[:keep])
    with pytest.raises(ModelLoadError, match=r"model\.bin is not a whole CTranslate2 model .* convert it again"):
        read_modelbin(model)


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 a zip file",
        struct.pack("=I", 3) + b"\x00" * 64,
        struct.pack("=IH", 6, 4) + b"\xff\xfe\xfd\x00" + b"\x00" * 16,
        struct.pack("=IH", 6, 2) + b"x\x00" + struct.pack("=II", 1, 2**32 - 1),
    ],
)
def test_a_file_that_is_something_else_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(ModelLoadError, match=r"model\.bin is not a whole CTranslate2 model"):
        read_modelbin(tmp_path / "model.bin")
