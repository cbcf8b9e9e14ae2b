"""A folder that is complete -> a model of the store: looked at, described in a manifest, given its name in one step.

Called by `store/pull.py` and `store/converted.py` as the last thing they do.
"""

from datetime import UTC, datetime
from pathlib import Path

from alcove import __version__
from alcove.errors import ModelLoadError
from alcove.store.manifest import Manifest, measured, write
from alcove.store.places import move_in
from alcove.store.progress import Watcher
from alcove.store.recognise import recognise


def seal(
    made: Path,
    folder: Path,
    store: Path,
    watcher: Watcher,
    *,
    source: str,
    revision: str | None = None,
    commit: str | None = None,
    quantization: str | None = None,
    fingerprint: str | None = None,
) -> None:
    """Make `made` the model `folder` of `store`; the rest is what the manifest says. Raises `ModelLoadError` when it
    cannot be served after all, and nothing has the name then."""
    model = recognise(made)
    if model.layout == "echo":
        raise ModelLoadError(f"{source}: has no weights to serve")
    with watcher.part("Checking", sum(path.stat().st_size for path in made.iterdir())) as count:
        files = measured(made, count)
    manifest = Manifest(
        source=source,
        revision=revision,
        commit=commit,
        layout=model.layout,
        kind=model.kind,
        quantization=quantization,
        fingerprint=fingerprint,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        alcove=__version__,
        files=files,
    )
    write(made, manifest)
    move_in(made, folder, store)
