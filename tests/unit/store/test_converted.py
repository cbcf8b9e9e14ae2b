"""Conversions in the store of folders elsewhere: once, again only when the folder changes, found by the settings."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from alcove.config.settings import ModelSettings
from alcove.errors import ModelLoadError
from alcove.store.converted import convert_folder, serve_from
from alcove.store.listing import models
from alcove.store.manifest import read, verify
from alcove.store.progress import Silent
from alcove.store.recognise import recognise
from alcove.store.remove import remove

Zoo = Callable[[str], Path]


@pytest.fixture
def original(zoo: Zoo, tmp_path: Path) -> Path:
    return Path(shutil.copytree(zoo("gpt2"), tmp_path / "my gpt2"))


def settings(folder: Path, **more: object) -> ModelSettings:
    return ModelSettings.model_validate({"name": "m", "source": str(folder), "engine": "ctranslate2", **more})


def test_a_transformers_folder_is_converted_once_and_again_when_it_changes(
    original: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "home"
    caplog.set_level(logging.INFO)
    made = serve_from(settings(original, compute_type="int8_float32"), home)
    assert recognise(made).layout == "ctranslate2"
    manifest = read(made)
    assert manifest is not None
    assert (manifest.source, manifest.quantization, manifest.commit) == (str(original), "int8_float32", None)
    assert verify(made) == []
    assert caplog.messages[-2].endswith(f"{original} is converted to int8_float32 for CTranslate2, once")
    written = (made / "model.bin").stat().st_mtime_ns

    assert serve_from(settings(original, compute_type="int8_float32"), home) == made
    assert convert_folder(original, "int8_float32", home, Silent()) == (made, False)
    assert (made / "model.bin").stat().st_mtime_ns == written

    os.utime(original / "model.safetensors", ns=(1, 1))
    assert convert_folder(original, "int8_float32", home, Silent()) == (made, True)
    assert (made / "model.bin").stat().st_mtime_ns != written
    assert [path.name for path in made.parent.iterdir() if not path.name.startswith(".")] == [made.name]

    (listed,) = [model for model in models(home) if model.source == str(original)]
    assert (listed.name, listed.layout, listed.quantization) == (str(original), "ctranslate2", "int8_float32")
    assert remove(str(original), home) == listed.size
    assert not made.exists()
    assert original.exists()


def test_other_folders_are_served_as_they_are(zoo: Zoo, tmp_path: Path) -> None:
    assert serve_from(settings(zoo("gpt2"), engine="auto"), tmp_path) == zoo("gpt2")
    assert serve_from(settings(zoo("gpt2"), engine="transformers"), tmp_path) == zoo("gpt2")
    builtin = ModelSettings(name="m", source="builtin:alcove-chat", engine="ctranslate2")
    assert serve_from(builtin, tmp_path).name == "ctranslate2"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_converted_is_one_line(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError) as failure:
        serve_from(settings(zoo("gpt-neox")), tmp_path)
    assert str(failure.value).startswith(f"{zoo('gpt-neox')} cannot be converted to CTranslate2: ")
    assert str(failure.value).endswith('serve it with engine = "transformers"')
