"""`alcove verify`: whether the files of the store are still what was written."""

import os
from collections.abc import Sequence

import typer

from alcove.cli.failing import EXIT_CONFIGURATION, EXIT_MODEL, fail
from alcove.cli.stored import stored
from alcove.cli.transfers import watching
from alcove.config.load import home
from alcove.errors import ModelLoadError
from alcove.store import manifest


def verify(names: Sequence[str]) -> None:
    """Read all files of these models, of all where none is named; exit with a line for each that is not as it was."""
    found, problems = stored(names, home(os.environ))
    if problems:
        fail(problems, EXIT_CONFIGURATION)
    if not found:
        typer.echo("Nothing to verify: the store is empty")
    sound: list[str] = []
    broken: list[str] = []
    with watching() as watcher:
        for model in found:
            with watcher.part(model.name, total=model.size) as count:
                try:
                    lines = manifest.verify(model.folder, count)
                except ModelLoadError as error:
                    lines = [str(error)]
            broken += lines
            if not lines:
                sound.append(model.name)
    for name in sound:  # said when the bars are gone
        typer.echo(f"{name}: as it was written")
    if broken:
        fail(broken, EXIT_MODEL)
