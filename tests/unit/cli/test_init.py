"""`alcove init`: a file for what is in the store, never over another, whole or not at all."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Ran

Alcove = Callable[..., Ran]


def models(path: Path) -> list[dict[str, object]]:
    return tomllib.loads(path.read_text())["model"]


def test_without_pulled_models_the_built_in_ones(folder: Path, alcove: Alcove) -> None:
    ran = alcove("init")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "Wrote alcove.toml, which serves alcove-seq2seq, alcove-chat.\n"
        "See what holds with: alcove check\nServe it with: alcove serve\n"
    )
    assert models(folder / "alcove.toml") == [
        {"name": "alcove-seq2seq", "source": "builtin:alcove-seq2seq", "default": True},
        {"name": "alcove-chat", "source": "builtin:alcove-chat"},
    ]
    checked = alcove("check")
    assert (checked.code, checked.err) == (0, "")


def test_a_file_that_is_there_stays(folder: Path, alcove: Alcove) -> None:
    path = folder / "alcove.toml"
    path.write_text("mine")
    ran = alcove("init")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "alcove: alcove.toml: is there already; say --force to write over it, or choose another file with --output\n"
    )
    assert path.read_text() == "mine"
    assert alcove("init", "--force").code == 0
    assert len(models(path)) == 2
    assert [file.name for file in folder.iterdir()] == ["alcove.toml"]


def test_another_place(folder: Path, alcove: Alcove) -> None:
    (folder / "etc").mkdir()
    ran = alcove("init", "--output", "etc/mine.toml")
    assert ran.out.endswith("Serve it with: alcove serve etc/mine.toml\n")
    printed = alcove("init", "--output", "-")
    assert printed.out == (folder / "etc" / "mine.toml").read_text()
    absent = alcove("init", "-o", "absent/mine.toml")
    assert (absent.code, absent.err) == (
        2,
        "alcove: absent/mine.toml: cannot be written: no such file or directory; choose another file with --output\n",
    )


def test_a_write_that_fails_leaves_nothing(folder: Path, alcove: Alcove, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, text: str, **options: object) -> int:
        with self.open("w") as file:
            file.write(text[:100])
        raise OSError(28, "No space left on device")

    (folder / "alcove.toml").write_text("mine")
    monkeypatch.setattr(Path, "write_text", full)
    ran = alcove("init", "--force")
    assert (ran.code, ran.err.count("no space left on device")) == (2, 1)
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [("alcove.toml", "mine")]
