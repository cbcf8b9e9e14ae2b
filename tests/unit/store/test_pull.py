from collections.abc import Iterator
from pathlib import Path

import pytest

from alcove.errors import ModelLoadError
from alcove.store.find import find
from alcove.store.pull import pull

from ...fakehub import FakeHub

REPO = "org/tiny"
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b'{"a": 1}',
    "source.spm": b"spm",
    "chat_template.jinja": b"{{ messages }}",
    "model.safetensors": b"weights" * 1000,
    "pytorch_model.bin": b"pickle",
    "model.fp16.safetensors": b"half",
    "tf_model.h5": b"tf",
    "README.md": b"# tiny",
    "onnx/model.onnx": b"onnx",
}
NEEDED = {"config.json", "tokenizer.json", "source.spm", "chat_template.jinja", "model.safetensors"}
CHUNK = 10 * 1024 * 1024
"""What huggingface_hub reads at once: less than that is lost when a connection is cut."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    # A token or a cache of whoever runs the tests stays out of them.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    with FakeHub({REPO: FILES, "org/pickled": {"config.json": b"{}", "pytorch_model.bin": b"x"}}) as hub:
        yield hub


def test_fetches_what_serving_needs_and_nothing_else(hub: FakeHub, tmp_path: Path) -> None:
    pulled = pull(REPO, None, tmp_path, progress=False, endpoint=hub.url)
    assert pulled.fetched
    assert pulled.folder == tmp_path / "models" / "org" / "tiny"
    assert {path.name for path in pulled.folder.iterdir()} == NEEDED | {".commit"}
    assert (pulled.folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert {name for name, _ in hub.downloads} == NEEDED
    assert [path.name for path in pulled.folder.parent.iterdir()] == ["tiny"]
    assert find(REPO, None, "auto", tmp_path) == pulled.folder


def test_a_second_pull_fetches_nothing(hub: FakeHub, tmp_path: Path) -> None:
    first = pull(REPO, None, tmp_path, progress=False, endpoint=hub.url)
    hub.downloads.clear()
    again = pull(REPO, None, tmp_path, progress=False, endpoint=hub.url)
    assert (again.folder, again.fetched) == (first.folder, False)
    assert hub.downloads == []


def test_a_new_commit_replaces_the_old_one(hub: FakeHub, tmp_path: Path) -> None:
    folder = pull(REPO, None, tmp_path, progress=False, endpoint=hub.url).folder
    hub.repos[REPO]["config.json"] = b'{"new": true}'
    del hub.repos[REPO]["source.spm"]
    assert pull(REPO, None, tmp_path, progress=False, endpoint=hub.url).fetched
    assert (folder / "config.json").read_bytes() == b'{"new": true}'
    assert not (folder / "source.spm").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_a_revision_has_a_folder_of_its_own(hub: FakeHub, tmp_path: Path) -> None:
    commit = hub.commit(REPO)
    pulled = pull(REPO, commit, tmp_path, progress=False, endpoint=hub.url)
    assert pulled.folder == tmp_path / "models" / "org" / f"tiny@{commit}"
    assert find(REPO, commit, "auto", tmp_path) == pulled.folder


def test_a_cut_connection_goes_on_within_the_file(hub: FakeHub, tmp_path: Path) -> None:
    weights = bytes(range(256)) * (CHUNK // 256 + 5000)
    hub.repos[REPO]["model.safetensors"] = weights
    hub.cut_once["model.safetensors"] = CHUNK + 1000
    folder = pull(REPO, None, tmp_path, progress=False, endpoint=hub.url).folder
    assert (folder / "model.safetensors").read_bytes() == weights
    assert [start for name, start in hub.downloads if name == "model.safetensors"] == [0, CHUNK]


def test_a_failed_pull_leaves_no_model_and_goes_on_with_the_missing_files(hub: FakeHub, tmp_path: Path) -> None:
    hub.broken.add("model.safetensors")
    with pytest.raises(ModelLoadError, match=r"^org/tiny: .*403"):
        pull(REPO, None, tmp_path, progress=False, endpoint=hub.url)
    assert not (tmp_path / "models" / "org" / "tiny").exists()
    have = {name for name, _ in hub.downloads}
    hub.broken.clear()
    hub.downloads.clear()
    pull(REPO, None, tmp_path, progress=False, endpoint=hub.url)
    assert {name for name, _ in hub.downloads} == NEEDED - have


@pytest.mark.parametrize(
    ("repo", "revision", "message"),
    [
        ("org/absent", None, "org/absent: no such repository on the Hub, or it is private"),
        (REPO, "v9", "org/tiny: has no revision 'v9'"),
        ("org/pickled", None, "org/pickled: has only pickled weights (pytorch_model.bin)"),
        ("a/b/c", None, "a/b/c: not a repository's name"),
        ("../../etc", None, "../../etc: not a repository's name"),
    ],
)
def test_refusals_are_one_line(hub: FakeHub, tmp_path: Path, repo: str, revision: str | None, message: str) -> None:
    with pytest.raises(ModelLoadError) as refused:
        pull(repo, revision, tmp_path, progress=False, endpoint=hub.url)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)
    assert hub.downloads == []


def test_an_unreachable_hub_is_one_line(tmp_path: Path) -> None:
    with FakeHub({}) as hub:
        url = hub.url
    with pytest.raises(ModelLoadError, match=r"^org/tiny: .*$"):
        pull(REPO, None, tmp_path, progress=False, endpoint=url)
