"""The models on this machine: called by `alcove list`, and by what takes a name that it shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from alcove.config.sources import BUILTIN, BUILTIN_MODELS
from alcove.errors import ModelLoadError
from alcove.store.find import PACKAGED
from alcove.store.folder import Kind
from alcove.store.footprint import memory_bytes
from alcove.store.manifest import COMMIT, FILE, Manifest, commit_of, read
from alcove.store.places import CONVERTED, conversions_of, store_of
from alcove.store.recognise import recognise


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A model that is built in or in the store."""

    name: str
    """What commands call it: `builtin:NAME`, the repository with `@revision` if one was asked for (twice where it is
    there in both layouts), or the path of the folder that was converted into the store."""
    folder: Path
    kind: Kind | None
    """None when it cannot be served."""
    layout: str | None
    """The engine that reads it; None when it cannot be served."""
    quantization: str | None
    """CTranslate2's type of the weights, where alcove converted them."""
    size: int
    """On disk, in bytes."""
    memory: int | None
    """About what it takes in memory, in bytes, where nothing is set; None when it cannot be served."""
    source: str
    """Repository, folder, or `alcove` for what is built in."""
    revision: str | None
    """What was asked for."""
    commit: str | None
    """What that was when it was pulled."""
    problem: str | None
    """Why it cannot be served; None when it can."""


def models(home: Path) -> list[Listed]:
    """The built-in models, then those in `home`, in the order of their names."""
    builtin = [_listed(BUILTIN + name, PACKAGED / name / "ctranslate2", None) for name in BUILTIN_MODELS]
    return [*builtin, *sorted(_stored(home), key=lambda model: (model.name, str(model.folder)))]


def _stored(home: Path) -> Iterator[Listed]:
    store = store_of(home)
    for folder in _folders(store, "*", "*/*"):
        name = unquote(str(folder.relative_to(store)).removesuffix(CONVERTED))
        yield _listed(name, folder, _manifest(folder))
    for folder in _folders(conversions_of(home), "*"):
        manifest = _manifest(folder)
        yield _listed(manifest.source if manifest else str(folder), folder, manifest)


def _folders(store: Path, *patterns: str) -> Iterator[Path]:
    """The complete folders: what pulls and conversions work with has no manifest yet, or a name with a dot."""
    for pattern in patterns:
        for path in store.glob(pattern):
            hidden = any(part.startswith(".") for part in path.relative_to(store).parts)
            if not hidden and ((path / FILE).is_file() or (path / COMMIT).is_file()):
                yield path


def _manifest(folder: Path) -> Manifest | None:
    try:
        return read(folder)
    except ModelLoadError:  # the folder may be whole; `alcove verify` tells
        return None


def _listed(name: str, path: Path, manifest: Manifest | None) -> Listed:
    kind: Kind | None = None
    layout: str | None = None
    memory: int | None = None
    problem: str | None = None
    try:
        folder = recognise(path)
        kind, layout, memory = folder.kind, folder.layout, memory_bytes(folder)
    except ModelLoadError as error:
        problem = str(error)
    return Listed(
        name=name,
        folder=path,
        kind=kind,
        layout=layout,
        quantization=manifest.quantization if manifest else None,
        size=sum(file.stat().st_size for file in path.iterdir() if file.is_file()),
        memory=memory,
        source=manifest.source if manifest else "alcove" if name.startswith(BUILTIN) else name.partition("@")[0],
        revision=manifest.revision if manifest else None,
        commit=commit_of(path, manifest),
        problem=problem,
    )
