"""Removal of a model from the store, by the name that `alcove list` shows. Called by `alcove remove`."""

import shutil
from pathlib import Path

from alcove.config.sources import BUILTIN
from alcove.errors import ModelLoadError
from alcove.store.listing import models
from alcove.store.places import Reference, alone, conversions_of, put_aside, store_of
from alcove.store.progress import Silent, Watcher


def remove(name: str, home: Path, watcher: Watcher | None = None) -> int:
    """Remove all that is in the store under `name`; returns how many bytes that was.

    Each folder loses its name in one step and is deleted then. Raises `ModelLoadError` for a name that is not in the
    store: built-in models and folders elsewhere are never touched.
    """
    if name.startswith(BUILTIN):
        raise ModelLoadError(f"{name}: comes with alcove and cannot be removed")
    found = [model for model in models(home) if model.name == name]
    if not found:
        raise ModelLoadError(f"{name}: not in the store {home}; `alcove list` shows what is")
    for model in found:
        store = next(root for root in (store_of(home), conversions_of(home)) if model.folder.is_relative_to(root))
        if not model.folder.resolve().is_relative_to(store.resolve()):
            raise ModelLoadError(f"{model.folder}: is a link that leads out of the store; remove the link yourself")
        key = Reference.parse(name).key if store == store_of(home) else model.folder.name
        with alone(store, key, name, watcher or Silent()):
            shutil.rmtree(put_aside(model.folder, store))
    return sum(model.size for model in found)
