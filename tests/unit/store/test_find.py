import hashlib
from pathlib import Path

import pytest

from alcove.errors import ModelLoadError
from alcove.store import find as find_module
from alcove.store.find import COMMIT, find, pulled_folder
from alcove.store.listing import models


@pytest.fixture(autouse=True)
def hugging_face_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return cache


def test_a_folder_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "t5").mkdir(parents=True)
    assert find(str(tmp_path / "models"), None, "auto", tmp_path) == tmp_path / "models"
    monkeypatch.chdir(tmp_path / "models")
    assert find("t5", None, "auto", tmp_path) == Path("t5")


@pytest.mark.parametrize("source", ["/absent/t5", "./absent", "../absent"])
def test_an_absent_folder_is_one_line(tmp_path: Path, source: str) -> None:
    with pytest.raises(ModelLoadError) as refused:
        find(source, None, "auto", tmp_path)
    assert str(refused.value) == f"{Path(source)}: no such folder"


def test_a_pulled_model_by_its_name_and_revision(tmp_path: Path) -> None:
    for revision, folder in ((None, "org/model"), ("v1", "org/model@v1"), ("refs/pr/1", "org/model@refs%2Fpr%2F1")):
        path = tmp_path / "models" / folder
        path.mkdir(parents=True)
        assert pulled_folder("org/model", revision, tmp_path) == path
        assert find("org/model", revision, "auto", tmp_path) == path


def test_one_that_huggingface_has_in_its_cache(tmp_path: Path, hugging_face_cache: Path) -> None:
    commit = hashlib.sha1(b"", usedforsecurity=False).hexdigest()
    repo = hugging_face_cache / "models--org--model"
    snapshot = repo / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    assert find("org/model", None, "auto", tmp_path) == snapshot
    assert find("org/model", commit, "auto", tmp_path) == snapshot


@pytest.mark.parametrize(
    ("source", "revision", "command"),
    [
        ("org/model", None, "alcove pull org/model"),
        ("org/model", "v1", "alcove pull org/model --revision v1"),
        ("org/some/model", None, "alcove pull org/some/model"),
    ],
)
def test_an_absent_model_says_how_to_get_it(tmp_path: Path, source: str, revision: str | None, command: str) -> None:
    with pytest.raises(ModelLoadError, match=rf"^{source}: not a folder, .*get it with: {command}$"):
        find(source, revision, "auto", tmp_path)


def test_a_built_in_model_in_the_engines_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for layout in ("ctranslate2", "transformers"):
        (tmp_path / "small" / layout).mkdir(parents=True)
    monkeypatch.setattr(find_module, "PACKAGED", tmp_path)
    assert find("builtin:small", None, "auto", tmp_path) == tmp_path / "small" / "ctranslate2"
    assert find("builtin:small", None, "ctranslate2", tmp_path) == tmp_path / "small" / "ctranslate2"
    assert find("builtin:small", None, "transformers", tmp_path) == tmp_path / "small" / "transformers"
    for absent in ("other", "..", "small/ctranslate2"):
        with pytest.raises(ModelLoadError, match=rf"^builtin:{absent}: no such built-in model; there are small$"):
            find(f"builtin:{absent}", None, "auto", tmp_path)


def test_the_echo_model_is_built_in(tmp_path: Path) -> None:
    assert (find("builtin:echo", None, "echo", tmp_path) / "tokenizer.json").is_file()


def test_the_listing_shows_what_is_complete(tmp_path: Path) -> None:
    for name in ("models/org/a", "models/b", "models/org/c.partial", "models/org/d.old", "models/org/e"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / COMMIT).touch()
    (tmp_path / "models/org/e" / COMMIT).unlink()
    pulled = [model for model in models(tmp_path) if not model.name.startswith("builtin:")]
    assert [(model.name, model.folder) for model in pulled] == [
        ("b", tmp_path / "models" / "b"),
        ("org/a", tmp_path / "models" / "org" / "a"),
    ]
    assert str(tmp_path) in pulled[0].kind  # an empty folder: why it cannot be served
