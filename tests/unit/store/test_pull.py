"""What a pull fetches, how it goes on after every kind of failure, and what it never writes."""

import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from alcove.errors import ModelLoadError
from alcove.store import hub as hub_module
from alcove.store import pull as pull_module
from alcove.store.find import find
from alcove.store.manifest import FILE, read, verify
from alcove.store.pull import Pulled
from alcove.store.pull import pull as pull_from

from ...fakehub import FakeHub
from .tiny import FILES, NEEDED, weights

REPO = "org/tiny"
PIECE = 1000
"""What is read at once in these tests; huggingface_hub itself reads 10 MB."""
Pull = Callable[..., Pulled]


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Instead of sleeping, note for how long."""
    slept: list[float] = []
    for module in ("huggingface_hub.file_download", "huggingface_hub.utils._http"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(sleep=slept.append, time=lambda: 0.0))
    monkeypatch.setattr(hub_module, "time", SimpleNamespace(sleep=slept.append))
    return slept


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, naps: list[float]) -> Iterator[FakeHub]:
    # A token or a cache of whoever runs the tests stays out of them.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", PIECE)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with FakeHub({REPO: FILES}) as hub:
        yield hub


@pytest.fixture
def pull(hub: FakeHub, tmp_path: Path) -> Pull:
    def pulled(name: str = REPO, **options: Any) -> Pulled:
        return pull_from(name, tmp_path, **{"endpoint": hub.url, **options})

    return pulled


def visible(home: Path) -> set[str]:
    """Everything in the store that has a name, by its path."""
    store = home / "models"
    paths = (path for pattern in ("*", "*/*") for path in store.glob(pattern))
    return {str(path.relative_to(store)) for path in paths if ".work" not in path.parts and path.parent != store}


def refusal(pull: Pull, *name: str, **options: Any) -> str:
    with pytest.raises(ModelLoadError) as refused:
        pull(*name, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


# ---- what is fetched


def test_fetches_what_serving_needs_and_nothing_else(hub: FakeHub, pull: Pull, tmp_path: Path) -> None:
    pulled = pull()
    assert pulled.fetched
    assert pulled.folder == tmp_path / "models" / "org" / "tiny"
    assert {path.name for path in pulled.folder.iterdir()} == NEEDED | {FILE}
    assert all((pulled.folder / name).read_bytes() == FILES[name] for name in NEEDED)
    assert {name for name, _ in hub.downloads} == NEEDED
    assert visible(tmp_path) == {"org/tiny"}
    assert find(REPO, None, "auto", tmp_path) == pulled.folder


def test_the_small_files_come_first(hub: FakeHub, pull: Pull) -> None:
    pull()
    assert hub.downloads[0] == ("config.json", 0)
    assert hub.downloads[-1] == ("model.safetensors", 0)


def test_the_manifest_says_where_it_is_from_and_what_it_must_be(hub: FakeHub, pull: Pull) -> None:
    folder = pull(revision="main").folder
    manifest = read(folder)
    assert manifest is not None
    assert (manifest.source, manifest.revision, manifest.commit) == (REPO, "main", hub.commit(REPO))
    assert (manifest.layout, manifest.kind, manifest.quantization) == ("transformers", "causal", None)
    assert {name: file.size for name, file in manifest.files.items()} == {name: len(FILES[name]) for name in NEEDED}
    assert verify(folder) == []


def test_what_was_kept_and_why(pull: Pull) -> None:
    assert pull().remark.startswith("Kept as it is, for transformers: CTranslate2's converter looks for rotary_pct")
    assert pull(engine="transformers", revision="main").remark == ""


def test_a_second_pull_fetches_nothing(hub: FakeHub, pull: Pull) -> None:
    first = pull()
    hub.downloads.clear()
    again = pull()
    assert (again.folder, again.fetched) == (first.folder, False)
    assert hub.downloads == []


def test_a_folder_of_alcove_0_1_is_as_good(hub: FakeHub, pull: Pull, tmp_path: Path) -> None:
    folder = pull().folder
    (folder / FILE).unlink()
    (folder / ".commit").write_text(hub.commit(REPO) + "\n")
    assert not pull().fetched
    (folder / ".commit").write_text("another\n")
    assert pull().fetched
    assert not (folder / ".commit").exists()


def test_a_new_commit_replaces_the_old_one(hub: FakeHub, pull: Pull, tmp_path: Path) -> None:
    folder = pull().folder
    hub.repos[REPO]["tokenizer_config.json"] = b'{"new": true}'
    del hub.repos[REPO]["source.spm"]
    assert pull().fetched
    assert (folder / "tokenizer_config.json").read_bytes() == b'{"new": true}'
    assert not (folder / "source.spm").exists()
    assert visible(tmp_path) == {"org/tiny"}
    assert [path.name for path in (tmp_path / "models" / ".work").iterdir()] == ["org--tiny.lock"]


def test_a_revision_has_a_folder_of_its_own(hub: FakeHub, pull: Pull, tmp_path: Path) -> None:
    commit = hub.commit(REPO)
    assert pull(f"{REPO}@{commit}").folder == tmp_path / "models" / "org" / f"tiny@{commit}"
    assert pull(revision="main").folder == tmp_path / "models" / "org" / "tiny@main"
    assert find(REPO, commit, "auto", tmp_path) == find(f"{REPO}@{commit}", None, "auto", tmp_path)


def test_weights_in_several_files_are_those_that_the_index_names(hub: FakeHub, pull: Pull) -> None:
    index = b'{"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}'
    files = {name: content for name, content in FILES.items() if name != "model.safetensors"}
    parts = {f"part-{number}.safetensors": weights() for number in (1, 2, 3)}
    hub.repos[REPO] = {**files, **parts, "model.safetensors.index.json": index}
    folder = pull().folder
    assert {path.name for path in folder.glob("*.safetensors")} == {"part-1.safetensors", "part-2.safetensors"}


# ---- what breaks off, and goes on


def test_connections_cut_anywhere_go_on_within_the_file(hub: FakeHub, pull: Pull) -> None:
    draw = random.Random(5)
    hub.repos[REPO]["model.safetensors"] = weights(rows=10, width=2000)
    hub.cuts = {name: sorted(draw.randrange(len(hub.repos[REPO][name])) for _ in range(3)) for name in NEEDED}
    ends = list(hub.cuts["model.safetensors"])
    folder = pull().folder
    assert all((folder / name).read_bytes() == hub.repos[REPO][name] for name in NEEDED)
    assert hub.starts("model.safetensors") == [0, *(end - end % PIECE for end in ends)]


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_pulls_that_end_anywhere_go_on_within_the_file(
    hub: FakeHub, pull: Pull, tmp_path: Path, seed: int, resets: bool
) -> None:
    draw = random.Random(seed)
    content = hub.repos[REPO]["model.safetensors"] = weights(rows=10, width=2000)
    ends = sorted(draw.randrange(PIECE, len(content)) for _ in range(3))
    for end in ends:
        hub.cuts = {"model.safetensors": [end, *[0] * 40]}
        hub.resets = resets
        assert refusal(pull).startswith(f"{REPO}: not fetched: ")
        assert visible(tmp_path) == set()
    hub.cuts.clear()
    hub.downloads.clear()
    assert (pull().folder / "model.safetensors").read_bytes() == content
    assert hub.downloads[0][1] > 0 or resets  # what came just before a reset is lost
    assert {name for name, _ in hub.downloads} == {"model.safetensors"}


def test_a_failed_pull_leaves_no_model_and_goes_on_with_the_missing_files(
    hub: FakeHub, pull: Pull, tmp_path: Path
) -> None:
    hub.broken.add("model.safetensors")
    assert "the Hub refused: " in refusal(pull)
    assert visible(tmp_path) == set()
    have = {name for name, _ in hub.downloads}
    hub.broken.clear()
    hub.downloads.clear()
    pull()
    assert {name for name, _ in hub.downloads} == NEEDED - have


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("same_size", [True, False])
def test_a_wrong_content_is_deleted_and_fetched_again(
    hub: FakeHub, pull: Pull, tmp_path: Path, name: str, same_size: bool
) -> None:
    hub.replaced[name] = b"x" * (len(FILES[name]) - (not same_size))
    assert name in refusal(pull) or not same_size
    assert visible(tmp_path) == set()
    hub.replaced.clear()
    if not same_size:  # what is too short is gone on with first
        assert "arrived with another content than the Hub names, and was deleted" in refusal(pull)
    assert (pull().folder / name).read_bytes() == FILES[name]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_hub_is_asked_again_when_it_says(hub: FakeHub, pull: Pull, naps: list[float], status: int) -> None:
    hub.busy[""] = [(status, "7"), (status, "")]
    assert pull().fetched
    assert naps == [7.0, 2.0]


def test_a_hub_that_is_busy_with_a_file(hub: FakeHub, pull: Pull, naps: list[float]) -> None:
    hub.busy["model.safetensors"] = [(429, "3"), (429, "4")]
    assert pull().fetched
    assert naps == [4.0, 5.0]  # huggingface_hub waits a second longer


@pytest.mark.parametrize("patience", ["100000", ""])
def test_a_hub_that_stays_busy_is_given_up(hub: FakeHub, pull: Pull, patience: str) -> None:
    hub.busy[""] = [(429, patience)] * 50
    assert refusal(pull).startswith("org/tiny: the Hub refused: ")
    assert len(hub.asked) == (1 if patience else hub_module.TRIES)


def test_a_mirror_that_tells_neither_sizes_nor_hashes(hub: FakeHub, pull: Pull) -> None:
    hub.bare = True
    hub.cuts["model.safetensors"] = [20, *[0] * 40]
    refusal(pull)
    hub.cuts.clear()
    assert verify(pull().folder) == []
    assert hub.starts("model.safetensors")[-1] == 0


def test_two_pulls_at_once_fetch_once(hub: FakeHub, pull: Pull, tmp_path: Path) -> None:
    hub.held["model.safetensors"] = 10
    results: list[Pulled] = []
    threads = [threading.Thread(target=lambda: results.append(pull())) for _ in range(3)]
    for thread in threads:
        thread.start()
    while not hub.starts("model.safetensors"):
        threading.Event().wait(0.01)
    hub.held.clear()
    hub.ended.set()  # the held connection ends here: whoever was on it goes on from there
    for thread in threads:
        thread.join(30)
    assert sorted(result.fetched for result in results) == [False, False, True]
    assert hub.starts("config.json") == [0]
    assert verify(results[0].folder) == []


def test_a_full_disk_is_said_before_anything_large(
    hub: FakeHub, pull: Pull, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=100))
    message = refusal(pull)
    assert message.startswith("org/tiny: ")
    assert "are to be fetched, but " in message
    assert message.endswith("has room for 100 bytes: make room, or set ALCOVE_HOME to another disk")
    assert hub.downloads == []


def test_a_disk_that_fills_up(hub: FakeHub, pull: Pull, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")
    try:
        hub.repos[REPO]["model.safetensors"] = weights(rows=10, width=4000)
        monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=2**40))
        with pytest.raises(ModelLoadError, match=r"^org/tiny: .*No space left on device") as failure:
            pull_from(REPO, disk, endpoint=hub.url)
        assert "\n" not in str(failure.value)
        assert visible(disk) == set()
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        assert verify(pull_from(REPO, disk, endpoint=hub.url).folder) == []
        assert hub.starts("config.json") == [0]
    finally:
        subprocess.run(["umount", disk], check=True)


# ---- whom it talks to


def test_the_token_goes_to_the_hub_and_to_nobody_else(
    hub: FakeHub, pull: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.private = "hf_secret"
    assert "no such repository on the Hub, or it is private (then set HF_TOKEN)" in refusal(pull)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with FakeHub({REPO: FILES}) as storage:
        hub.storage = storage.url
        pull()
        assert {token for _, token in hub.asked[1:]} == {"Bearer hf_secret"}
        assert len(storage.asked) == len(NEEDED)
        assert {token for _, token in storage.asked} == {None}


@pytest.mark.parametrize(
    ("repo", "revision", "message"),
    [
        ("org/absent", None, "org/absent: no such repository on the Hub, or it is private"),
        (REPO, "v9", "org/tiny: has no revision 'v9'"),
        ("a/b/c", None, "a/b/c: not a repository's name"),
        ("../../etc", None, "../../etc: not a repository's name"),
        ("org/tiny@main", "v9", "org/tiny@main: names a revision, and another one is asked for: v9"),
        (REPO, "a\nb", "org/tiny: not a revision's name: a\\nb"),
    ],
)
def test_refusals_are_one_line(hub: FakeHub, pull: Pull, repo: str, revision: str | None, message: str) -> None:
    assert refusal(pull, repo, revision=revision).startswith(message)
    assert hub.downloads == []


def test_an_unreachable_hub_is_one_line(tmp_path: Path, naps: list[float]) -> None:
    with FakeHub({}) as hub:
        url = hub.url
    with pytest.raises(ModelLoadError, match=r"^org/tiny: not fetched: Connection refused; the same command goes on$"):
        pull_from(REPO, tmp_path, endpoint=url)


def test_offline_what_is_there_is_served_and_what_is_not_is_named(
    hub: FakeHub, pull: Pull, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = pull().folder
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub.asked.clear()
    assert pull() == Pulled(folder, False)
    assert find(REPO, None, "auto", tmp_path) == folder
    assert refusal(pull, revision="main") == (
        "org/tiny@main: is not on this machine, and HF_HUB_OFFLINE forbids to fetch it: unset it, and pull again"
    )
    assert hub.asked == []


# ---- what is asked for and cannot be


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"engine": "ctranslate2"},
            "org/tiny: not converted to CTranslate2: CTranslate2's converter looks for ",
        ),
        ({"quantization": "int8"}, "org/tiny: not converted to CTranslate2: CTranslate2's converter looks for "),
        ({"quantization": "int7"}, "quantization int7 is unknown: int8, int8_float32"),
        ({"quantization": "int8", "engine": "transformers"}, "--quantization is that of a conversion"),
    ],
)
def test_a_conversion_that_cannot_be_had_is_refused_before_the_weights(
    hub: FakeHub, pull: Pull, options: dict[str, Any], message: str
) -> None:
    assert refusal(pull, **options).startswith(message)
    assert "model.safetensors" not in {name for name, _ in hub.downloads}


def test_the_missing_extra_is_named(hub: FakeHub, pull: Pull, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_module, "find_spec", lambda name: None)
    hub.repos[REPO]["config.json"] = b'{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 10}'
    message = refusal(pull, engine="ctranslate2")
    assert message.endswith("torch is needed to convert it: pip install 'alcove[convert]', and pull again")
    assert pull().remark.startswith("Kept as it is, for transformers: torch is needed to convert it")


def test_permissions_are_one_line(hub: FakeHub, pull: Pull, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way")
    assert refusal(pull).startswith(f"org/tiny: {tmp_path / 'models'}")
    os.unlink(tmp_path / "models")
