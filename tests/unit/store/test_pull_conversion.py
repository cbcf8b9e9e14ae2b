"""What becomes of a repository in transformers' layout: converted, kept beside, or kept because it cannot be had."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alcove.errors import ModelLoadError
from alcove.store import pull as pull_module
from alcove.store import repairs
from alcove.store.convert import NotConvertible, convert
from alcove.store.convertible import QUANTIZATIONS
from alcove.store.find import find
from alcove.store.listing import models
from alcove.store.manifest import read
from alcove.store.pull import Pulled, pull
from alcove.store.remove import remove

from ...fakehub import FakeHub, contents

REPO = "zoo/gpt2"
Zoo = Callable[[str], Path]


@pytest.fixture
def hub(zoo: Zoo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    with FakeHub({REPO: contents(zoo("gpt2"))}) as hub:
        yield hub


def test_original_and_conversion_lie_beside_each_other(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without_extra:
        without_extra.setattr(pull_module, "find_spec", lambda name: None)
        original = pull(REPO, tmp_path, endpoint=hub.url)
    assert original.folder == tmp_path / "models" / "zoo" / "gpt2"
    hub.downloads.clear()

    converted = pull(REPO, tmp_path, endpoint=hub.url)  # the extra is there now
    assert converted.folder == tmp_path / "models" / "zoo" / "gpt2+ctranslate2"
    assert converted.remark.startswith("Converted to int8 for CTranslate2")
    assert pull(REPO, tmp_path, endpoint=hub.url) == Pulled(converted.folder, False)
    assert pull(REPO, tmp_path, engine="transformers", endpoint=hub.url) == Pulled(original.folder, False)
    assert hub.downloads == []

    found = [find(REPO, None, engine, tmp_path) for engine in ("auto", "ctranslate2", "transformers")]
    assert found == [converted.folder, converted.folder, original.folder]
    listed = [model for model in models(tmp_path) if model.name == REPO]
    assert [(model.layout, model.quantization) for model in listed] == [("transformers", None), ("ctranslate2", "int8")]
    assert {(model.source, model.commit) for model in listed} == {(REPO, hub.commit(REPO))}

    again = pull(REPO, tmp_path, quantization="float32", endpoint=hub.url)
    manifest = read(again.folder)
    assert again.folder == converted.folder
    assert manifest is not None
    assert manifest.quantization == "float32"
    assert hub.downloads == []

    assert remove(REPO, tmp_path) > 0
    assert list((tmp_path / "models" / "zoo").iterdir()) == []


def test_a_configuration_that_cannot_be_converted_is_kept_or_refused(hub: FakeHub, tmp_path: Path) -> None:
    config = json.loads(hub.repos[REPO]["config.json"])
    hub.repos[REPO]["config.json"] = json.dumps({**config, "scale_attn_weights": False}).encode()
    with pytest.raises(ModelLoadError, match=r"^zoo/gpt2: cannot be converted to CTranslate2: it scales its attention"):
        pull(REPO, tmp_path, engine="ctranslate2", endpoint=hub.url)
    assert not (tmp_path / "models" / "zoo").exists()
    hub.downloads.clear()
    kept = pull(REPO, tmp_path, endpoint=hub.url)
    assert kept.remark.startswith("Kept as it is, for transformers: cannot be converted to CTranslate2: it scales its")
    assert kept.folder == tmp_path / "models" / "zoo" / "gpt2"
    assert hub.downloads == []


def test_a_conversion_that_says_something_else_is_refused(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a repair the converter makes a model that loads, and answers otherwise."""
    left = tuple(repair for repair in repairs.BEFORE if repair.__name__ != "names_of_gemma")
    monkeypatch.setattr(repairs, "BEFORE", left)
    with pytest.raises(NotConvertible, match=r"its first token after .* is .*, where transformers has "):
        convert(zoo("gemma"), tmp_path / "made", "float32")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_every_type_is_within_its_margin(zoo: Zoo, tmp_path: Path, quantization: str) -> None:
    convert(zoo("t5-untied"), tmp_path / "made", quantization)
    assert (tmp_path / "made" / "model.bin").exists()


def test_the_types_are_those_of_the_library() -> None:
    from ctranslate2.specs.model_spec import ACCEPTED_MODEL_TYPES

    assert set(QUANTIZATIONS) == set(ACCEPTED_MODEL_TYPES)
