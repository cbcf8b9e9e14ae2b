"""The estimate of a model's memory, from headers alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ctranslate2.specs.common_spec import EmbeddingsSpec
from ctranslate2.specs.model_spec import ModelSpec
from safetensors.torch import save_file

from alcove.store.folder import ModelFolder
from alcove.store.footprint import OVERHEAD, WORK, memory_bytes


class Tied(ModelSpec):
    """Nearly all of it is one table, which three layers share."""

    def __init__(self) -> None:
        super().__init__()
        table = np.random.default_rng(0).normal(size=(2000, 64)).astype(np.float32)
        self.encoder, self.decoder, self.projection = EmbeddingsSpec(), EmbeddingsSpec(), EmbeddingsSpec()
        for layer in (self.encoder, self.decoder, self.projection):
            layer.weight = table.copy()

    @property
    def name(self) -> str:
        return "TiedSpec"


@pytest.mark.parametrize(
    ("stored", "asked", "width"),
    [
        ("float32", "auto", 4),
        ("float16", "auto", 4),  # a processor computes in float32
        ("int8", "auto", 1),
        ("float32", "int8", 1),
        ("float32", "int8_float32", 1),
        ("int8", "float32", 4),
    ],
)
def test_a_table_that_is_shared_counts_once(tmp_path: Path, stored: str, asked: str, width: int) -> None:
    spec = Tied()
    spec.validate()
    spec.optimize(stored)
    spec.save(str(tmp_path))
    folder = ModelFolder(path=tmp_path, layout="ctranslate2", kind="seq2seq")
    weights = (memory_bytes(folder, asked) - OVERHEAD) / WORK
    assert weights == pytest.approx(2000 * 64 * width, rel=0.1)


def test_only_the_files_of_the_index_count(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1000, dtype=torch.float16)}, tmp_path / "model-00001-of-00001.safetensors")
    save_file({"a": torch.zeros(1000, dtype=torch.float16)}, tmp_path / "consolidated.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00001.safetensors"}}')
    folder = ModelFolder(path=tmp_path, layout="transformers", kind="causal")
    assert memory_bytes(folder) == int(1000 * 4 * WORK) + OVERHEAD
    assert memory_bytes(folder, "bfloat16") == int(1000 * 2 * WORK) + OVERHEAD
