"""`alcove remove`: models out of the store, after a question where there is somebody to answer it."""

import os
import sys
from collections.abc import Sequence

import typer

from alcove.cli.failing import EXIT_CONFIGURATION, fail
from alcove.cli.listing import size_of
from alcove.cli.stored import stored
from alcove.cli.transfers import watching
from alcove.config.load import home
from alcove.store.remove import remove as remove_from_store


def remove(names: Sequence[str], *, yes: bool) -> None:
    """Remove all of them, or none where a name is wrong. Raises `ModelLoadError` for what cannot be removed."""
    place = home(os.environ)
    found, problems = stored(names, place)
    if problems:
        fail(problems, EXIT_CONFIGURATION)
    if not yes and sys.stdin.isatty():
        size = sum(model.size for model in found)
        typer.confirm(f"Remove {', '.join(dict.fromkeys(names))} ({size_of(size)})?", abort=True)
    with watching() as watcher:  # which says so where a pull has to end first
        for name in dict.fromkeys(names):
            typer.echo(f"Removed {name}: {size_of(remove_from_store(name, place, watcher))} freed")
