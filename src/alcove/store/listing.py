"""The models on this machine: called by `alcove list`."""

from dataclasses import dataclass
from pathlib import Path

from alcove.config.sources import BUILTIN, BUILTIN_MODELS
from alcove.errors import ModelLoadError
from alcove.store.find import COMMIT, PACKAGED
from alcove.store.recognise import recognise

_UNFINISHED = {".partial", ".old"}
"""Endings of the folders that a pull works with."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A model that `alcove serve` can be given by name."""

    name: str
    """`builtin:NAME`, or the name it was pulled by, with `@revision` if one was asked for."""
    kind: str
    """What it is and whose format it has, or why it cannot be served."""
    folder: Path


def models(home: Path) -> list[Listed]:
    """The built-in models and those pulled to `home`, in the order of their names."""
    store = home / "models"
    pulled = sorted(path.parent for pattern in ("*", "*/*") for path in store.glob(f"{pattern}/{COMMIT}"))
    return [
        *(_listed(BUILTIN + name, PACKAGED / name / "ctranslate2") for name in BUILTIN_MODELS),
        *(_listed(str(folder.relative_to(store)), folder) for folder in pulled if folder.suffix not in _UNFINISHED),
    ]


def _listed(name: str, path: Path) -> Listed:
    try:
        folder = recognise(path)
    except ModelLoadError as error:
        return Listed(name, str(error), path)
    return Listed(name, f"{folder.kind}, {folder.layout}", path)
