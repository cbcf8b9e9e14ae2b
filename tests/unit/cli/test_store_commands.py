"""`alcove list`, `show`, `remove` and `verify` on a store with a model in it."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from alcove.config.load import load
from alcove.store.find import PACKAGED
from alcove.store.places import Reference, conversion, published, store_of
from alcove.store.progress import Silent
from alcove.store.sealing import seal

from .conftest import Ran

Alcove = Callable[..., Ran]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put(home: Path, name: str, layout: str = "ctranslate2", *, converted: bool = False) -> Path:
    """A built-in model as if it had been pulled."""
    reference = Reference.parse(name)
    made = home / "made"
    shutil.copytree(PACKAGED / "alcove-chat" / layout, made)
    folder = (conversion if converted else published)(reference, home)
    quantization = "int8" if converted else None
    seal(
        made, folder, store_of(home), Silent(),
        source=reference.repo, revision=reference.revision, commit=COMMIT, quantization=quantization,
    )  # fmt: skip
    return folder


@pytest.fixture
def home(folder: Path) -> Path:
    return folder.parent / "store"


def row(ran: Ran, name: str) -> str:
    found = next(line for line in ran.out.splitlines() if line.startswith(f"{name} "))
    return " ".join(found.split())


def test_list(home: Path, alcove: Alcove) -> None:
    path = put(home, "org/tiny@v1")
    ran = alcove("list")
    assert ran.out.splitlines()[0].split() == ["Name", "Kind", "Engine", "Size", "Memory", "Source", "Commit"]
    shown = row(ran, "org/tiny@v1")
    assert shown.startswith("org/tiny@v1 causal ctranslate2 ")
    assert shown.endswith(" org/tiny 0123456789ab")
    assert row(ran, "builtin:alcove-seq2seq").startswith("builtin:alcove-seq2seq seq2seq ctranslate2 ")
    (model,) = [model for model in json.loads(alcove("list", "--json").out) if model["name"] == "org/tiny@v1"]
    assert model["size"] == sum(file.stat().st_size for file in path.iterdir())
    assert model["memory"] > (path / "model.bin").stat().st_size
    assert (model["commit"], model["revision"], model["folder"]) == (COMMIT, "v1", str(path))


def test_list_says_why_a_model_cannot_be_served(home: Path, alcove: Alcove) -> None:
    path = put(home, "org/tiny")
    (path / "model.bin").write_bytes(b"x")
    ran = alcove("list")
    assert row(ran, "org/tiny").startswith("org/tiny - - ")
    assert [line for line in ran.out.splitlines() if line.startswith(f"org/tiny cannot be served: {path}")]


def test_show(home: Path, alcove: Alcove) -> None:
    path = put(home, "org/tiny", "transformers")
    ran = alcove("show", "org/tiny")
    assert (ran.code, ran.err) == (0, "")
    facts = json.loads(alcove("show", "org/tiny", "--json").out)
    (known,) = facts
    config = json.loads((path / "config.json").read_text())
    assert known["prompt_tokens"] == known["output_tokens"] == config["max_position_embeddings"]
    assert (known["kind"], known["engine"], known["family"]) == ("causal", "transformers", "llama")
    assert known["generation"].items() <= json.loads((path / "generation_config.json").read_text()).items()
    assert known["files"] == {file.name: file.stat().st_size for file in path.iterdir()}
    assert known["tokenizer"].startswith("tokenizer.json")
    assert known["chat_template"] == "chat_template.jinja"
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert "Model org/tiny" in lines
    assert f"Commit {COMMIT}" in lines
    assert f"Longest prompt {known['prompt_tokens']:,} tokens" in lines
    assert [line for line in lines if line.startswith("model.safetensors ")]


def test_show_of_both_layouts_of_a_name(home: Path, alcove: Alcove) -> None:
    put(home, "org/tiny", "transformers")
    put(home, "org/tiny", converted=True)
    engines = [facts["engine"] for facts in json.loads(alcove("show", "org/tiny", "--json").out)]
    assert sorted(engines) == ["ctranslate2", "transformers"]
    assert alcove("show", "org/tiny").out.count("Model ") == 2


def test_show_of_what_is_not_there(alcove: Alcove) -> None:
    ran = alcove("show", "alcove-chta")
    assert (ran.code, ran.err) == (
        2,
        "alcove: alcove-chta: no such model here; `alcove list` shows what is; did you mean 'builtin:alcove-chat'?\n",
    )
    assert alcove("show", "alcove-chat").code == 0


def test_remove(home: Path, alcove: Alcove) -> None:
    path, other = put(home, "org/tiny"), put(home, "org/other")
    size = sum(file.stat().st_size for file in path.iterdir())
    wrong = alcove("remove", "org/other", "org/tny", "builtin:alcove-chat")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.splitlines() == [
        "alcove: org/tny: not in the store; `alcove list` shows what is; did you mean 'org/tiny'?",
        "alcove: builtin:alcove-chat: comes with alcove and is not in the store",
    ]
    assert other.is_dir()
    ran = alcove("remove", "org/tiny")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"Removed org/tiny: {size / 1e6:.1f} MB freed\n"
    assert not path.exists()
    assert other.is_dir()


def test_remove_asks_on_a_terminal(home: Path, folder: Path) -> None:
    path = put(home, "org/tiny")

    def answered(answer: str) -> tuple[int, str]:
        terminal, stdin = pty.openpty()
        os.write(terminal, answer.encode())
        command = [sys.executable, "-m", "alcove", "remove", "org/tiny"]
        ran = subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=30)
        os.close(terminal)
        os.close(stdin)
        return ran.returncode, ran.stdout

    code, out = answered("\n")
    assert (code, path.exists()) == (1, True)
    assert out.startswith("Remove org/tiny (")
    code, out = answered("y\n")
    assert (code, path.exists()) == (0, False)
    assert "Removed org/tiny: " in out


def test_remove_with_yes_does_not_ask(home: Path, alcove: Alcove, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(home, "org/tiny")
    with open(pty.openpty()[1]) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        assert alcove("remove", "--yes", "org/tiny").code == 0
    assert not path.exists()


def test_verify(home: Path, alcove: Alcove) -> None:
    path = put(home, "org/tiny")
    put(home, "org/other")
    ran = alcove("verify")
    assert ran.code == 0
    assert ran.out == "org/other: as it was written\norg/tiny: as it was written\n"
    content = bytearray((path / "model.bin").read_bytes())
    content[-1] ^= 1
    (path / "model.bin").write_bytes(content)
    (path / "tokenizer.json").unlink()
    ran = alcove("verify")
    assert (ran.code, ran.out) == (3, "org/other: as it was written\n")
    broken = [line for line in ran.err.splitlines() if line.startswith("alcove: ")]
    assert [line.partition(": ")[2].partition(": ")[0] for line in broken] == [
        str(path / "tokenizer.json"),
        str(path / "model.bin"),
    ]
    assert alcove("verify", "org/other").code == 0
    assert alcove("verify", "org/tiny").code == 3
    assert alcove("verify", "org/absent").code == 2


def test_verify_of_an_empty_store(alcove: Alcove) -> None:
    assert alcove("verify").out == "Nothing to verify: the store is empty\n"


def test_init_serves_what_is_in_the_store(home: Path, folder: Path, alcove: Alcove) -> None:
    put(home, "org/tiny", "transformers")
    put(home, "org/tiny", converted=True)
    put(home, "org/other@refs/pr/1")
    assert alcove("init").code == 0
    settings = load(None, {"ALCOVE_HOME": str(home)}, {}, folder).settings
    assert [(model.name, model.source, model.default, model.load) for model in settings.models] == [
        ("org/other@refs/pr/1", "org/other@refs/pr/1", True, "start"),
        ("org/tiny", "org/tiny", False, "first_use"),
    ]
    assert alcove("check").code == 0
