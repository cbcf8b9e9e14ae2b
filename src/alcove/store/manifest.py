"""What the store knows of a model it holds: where it came from and what its files must be, in a file beside them.

Written by a pull or a conversion before the folder gets its name, so a folder without one is not the store's. Read when
a model is loaded, pulled again, listed, shown and verified.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from alcove.errors import ModelLoadError
from alcove.store.folder import Kind
from alcove.store.progress import Count

FILE = "alcove-manifest.json"
COMMIT = ".commit"
"""What alcove 0.1 wrote in its place: a file that holds the commit only."""
_BLOCK = 1024 * 1024


class File(msgspec.Struct, frozen=True, kw_only=True):
    """What a file must be."""

    size: int
    """In bytes."""
    sha256: str
    """In hexadecimal digits."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model in the store."""

    source: str
    """The repository (`org/model`), or the folder that it was converted from."""
    revision: str | None = None
    """The branch, tag or commit that was asked for."""
    commit: str | None = None
    """The repository's commit; None for a folder."""
    layout: Literal["ctranslate2", "transformers"]
    """Whose files these are."""
    kind: Kind
    """Encoder-decoder or decoder-only."""
    quantization: str | None = None
    """CTranslate2's type of the weights, where alcove has converted them."""
    fingerprint: str | None = None
    """Names, sizes and times of the folder's files when it was converted: others mean that it has changed."""
    created: str
    """When, in ISO 8601, in UTC."""
    alcove: str
    """The version that wrote it."""
    files: dict[str, File]
    """Every other file of the folder."""


def read(folder: Path) -> Manifest | None:
    """The manifest in `folder`; None where there is none. Raises `ModelLoadError` when it cannot be read."""
    path = folder / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelLoadError(f"{path} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise ModelLoadError(f"{path} is not a manifest ({error}): pull or convert the model again") from None


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into `folder`."""
    (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def measured(folder: Path, on_progress: Count | None = None) -> dict[str, File]:
    """What the files of `folder` are now: the table for a new manifest."""
    return {path.name: _file(path, on_progress) for path in _files(folder)}


def commit_of(folder: Path, manifest: Manifest | None) -> str | None:
    """The commit that a folder with this manifest was pulled at; None when nothing tells."""
    note = folder / COMMIT
    if manifest is not None or not note.is_file():
        return None if manifest is None else manifest.commit
    return note.read_text().strip()


def check_sizes(folder: Path) -> None:
    """Look whether the files that the manifest names are there and have their sizes, without reading them; a folder
    without a manifest passes. Raises `ModelLoadError` for the first that is not as it was written."""
    manifest = read(folder)
    for name, wanted in {} if manifest is None else manifest.files.items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size != wanted.size:
            state = "is missing" if size is None else f"has {size} bytes, not {wanted.size}"
            raise ModelLoadError(
                f"{path} {state}: remove the model and pull or convert it again, or delete {FILE} to serve it as it is"
            )


def verify(folder: Path, on_progress: Count | None = None) -> list[str]:
    """What is wrong with a folder of the store, a line each that names the file and the remedy; empty when it is as it
    was written. Reads all of it. Raises `ModelLoadError` for a manifest that cannot be read."""
    manifest = read(folder)
    if manifest is None:
        return [f"{folder}: has no {FILE} to compare with: pull the model again to get one"]
    remedy = "remove the model, and pull or convert it again"
    present = {path.name: path for path in _files(folder)}
    problems = [f"{folder / name}: is missing; {remedy}" for name in manifest.files if name not in present]
    for name, path in present.items():
        wanted = manifest.files.get(name)
        if path.is_symlink():
            problems.append(f"{path}: is a link, where a file was written; {remedy}")
        elif wanted is None:
            problems.append(f"{path}: was not there when the model was written; delete it")
        elif (size := path.stat().st_size) != wanted.size:
            problems.append(f"{path}: has {size} bytes, not {wanted.size}; {remedy}")
        elif _file(path, on_progress).sha256 != wanted.sha256:
            problems.append(f"{path}: its content is not what was written; {remedy}")
    return problems


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder that a manifest speaks of, in the order of their names."""
    paths = (path for path in sorted(folder.iterdir()) if path.is_symlink() or not path.is_dir())
    return (path for path in paths if path.name not in (FILE, COMMIT))


def _file(path: Path, on_progress: Count | None) -> File:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
            if on_progress is not None:
                on_progress(len(block))
    return File(size=size, sha256=digest.hexdigest())
