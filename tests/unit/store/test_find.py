import hashlib
from pathlib import Path

import pytest

from alcove.config.settings import EngineName
from alcove.errors import ModelLoadError
from alcove.store import find as find_module
from alcove.store.find import find
from alcove.store.listing import models
from alcove.store.manifest import COMMIT
from alcove.store.remove import remove

ENGINES: tuple[EngineName, ...] = ("auto", "ctranslate2", "transformers")


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
        assert find("org/model", revision, "auto", tmp_path) == path
        assert find(f"org/model@{revision}" if revision else "org/model", None, "auto", tmp_path) == path


def test_the_engine_chooses_between_the_original_and_its_conversion(tmp_path: Path) -> None:
    original, converted = (tmp_path / "models" / "org" / name for name in ("model", "model+ctranslate2"))
    original.mkdir(parents=True)
    assert {find("org/model", None, engine, tmp_path) for engine in ENGINES} == {original}
    converted.mkdir()
    found = [find("org/model", None, engine, tmp_path) for engine in ENGINES]
    assert found == [converted, converted, original]
    original.rmdir()
    assert find("org/model", None, "auto", tmp_path) == converted
    with pytest.raises(ModelLoadError, match=r"^org/model: only its conversion .*alcove pull org/model --engine trans"):
        find("org/model", None, "transformers", tmp_path)


@pytest.mark.parametrize("name", ["org/model/..", "a/b/../../../etc", "org\\model", "org/mo del", "org/\0", "x" * 5000])
def test_a_name_that_is_none_reaches_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "models" / "org").mkdir(parents=True)
    with pytest.raises(ModelLoadError):
        find(name, None, "auto", tmp_path)


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
        ("org/model", "v1", "alcove pull org/model@v1"),
    ],
)
def test_an_absent_model_says_how_to_get_it(tmp_path: Path, source: str, revision: str | None, command: str) -> None:
    with pytest.raises(ModelLoadError, match=rf"^{source}.*: not a folder, .*get it with: {command}$"):
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
    for name in ("org/a", "b", "org/a+ctranslate2", "org/e", ".work/org--c@1"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / COMMIT).write_text("0123\n")
    (tmp_path / "models/org/e" / COMMIT).unlink()
    pulled = [model for model in models(tmp_path) if not model.name.startswith("builtin:")]
    assert [(model.name, model.folder) for model in pulled] == [
        ("b", tmp_path / "models" / "b"),
        ("org/a", tmp_path / "models" / "org" / "a"),
        ("org/a", tmp_path / "models" / "org" / "a+ctranslate2"),
    ]
    assert pulled[0].commit == "0123"
    assert pulled[0].problem is not None
    assert str(tmp_path) in pulled[0].problem  # an empty folder: why it cannot be served


def test_the_listing_shows_what_is_built_in(tmp_path: Path) -> None:
    first, second = models(tmp_path)
    assert (first.name, first.kind, first.layout) == ("builtin:alcove-seq2seq", "seq2seq", "ctranslate2")
    assert (second.name, second.kind, second.problem) == ("builtin:alcove-chat", "causal", None)
    assert first.memory is not None
    assert first.memory > first.size > 1_000_000


def test_removal_takes_all_that_a_name_stands_for(tmp_path: Path) -> None:
    store = tmp_path / "models" / "org"
    for name in ("a", "a+ctranslate2", "b"):
        (store / name).mkdir(parents=True)
        (store / name / COMMIT).write_text("0123\n")
    assert remove("org/a", tmp_path) == 10
    assert [path.name for path in store.iterdir()] == ["b"]
    assert [path.suffix for path in (tmp_path / "models" / ".work").iterdir()] == [".lock"]


@pytest.mark.parametrize("name", ["org/a", "builtin:alcove-chat", "..", "../models/org", "/", ""])
def test_removal_touches_nothing_outside_of_the_store(tmp_path: Path, name: str) -> None:
    (tmp_path / "home" / "models" / "org" / "b").mkdir(parents=True)
    with pytest.raises(ModelLoadError):
        remove(name, tmp_path / "home")
    assert (tmp_path / "home" / "models" / "org" / "b").is_dir()


def test_removal_does_not_follow_a_link_out_of_the_store(tmp_path: Path) -> None:
    elsewhere, store = tmp_path / "elsewhere", tmp_path / "home" / "models" / "org"
    elsewhere.mkdir()
    store.mkdir(parents=True)
    (elsewhere / COMMIT).write_text("0123\n")
    (store / "a").symlink_to(elsewhere)
    with pytest.raises(ModelLoadError, match="is a link that leads out of the store"):
        remove("org/a", tmp_path / "home")
    assert (elsewhere / COMMIT).exists()
