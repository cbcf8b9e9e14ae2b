"""What a manifest says of a folder, and every way in which the folder can differ from it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from alcove.errors import ModelLoadError
from alcove.store.manifest import FILE, File, Manifest, measured, read, verify, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.bin").write_bytes(bytes(3_000_000))
    manifest = Manifest(
        source="org/model", layout="ctranslate2", kind="causal", created="2026-01-01T00:00:00+00:00", alcove="0",
        files=measured(tmp_path),
    )  # fmt: skip
    write(tmp_path, manifest)
    assert read(tmp_path) == manifest
    return tmp_path


def test_an_intact_folder(folder: Path) -> None:
    counted: list[int] = []
    assert verify(folder, counted.append) == []
    assert sum(counted) == 3_000_002
    manifest = read(folder)
    assert manifest is not None
    assert manifest.files["config.json"] == File(
        size=2, sha256="44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    )


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def link(path: Path) -> None:
    path.rename(path.parent.parent / path.name)
    path.symlink_to(path.parent.parent / path.name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "model.bin: is missing; "),
        (lambda path: path.write_bytes(b"short"), "model.bin: has 5 bytes, not 3000000; "),
        (flip, "model.bin: its content is not what was written; "),
        (link, "model.bin: is a link, where a file was written; "),
        (lambda path: path.with_name("new.py").write_text(""), "new.py: was not there when the model was written; "),
    ],
)
def test_a_folder_that_was_changed(folder: Path, change: Callable[[Path], object], message: str) -> None:
    change(folder / "model.bin")
    (problem,) = verify(folder)
    assert problem.startswith(f"{folder}/{message}")
    assert "\n" not in problem


def test_a_manifest_that_is_none(folder: Path) -> None:
    (folder / FILE).write_text('{"source": 1}')
    with pytest.raises(
        ModelLoadError, match=f"^{folder / FILE} is not a manifest .*: pull or convert the model again$"
    ):
        verify(folder)
    (folder / FILE).unlink()
    assert read(folder) is None
    assert verify(folder) == [f"{folder}: has no {FILE} to compare with: pull the model again to get one"]
