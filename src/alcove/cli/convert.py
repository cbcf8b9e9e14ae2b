"""`alcove convert`: a transformers folder to CTranslate2's layout, in the store or in a folder of its own."""

import os
from pathlib import Path

import typer

from alcove.cli.pull import interruptible
from alcove.cli.transfers import watching
from alcove.config.load import home


def convert(folder: Path, target: Path | None, quantization: str) -> None:
    """Convert, and say how the result is served. Raises `ModelLoadError`."""
    from alcove.store.convert import convert as convert_to
    from alcove.store.converted import convert_folder
    from alcove.store.convertible import QUANTIZATION

    with interruptible(), watching() as watcher:
        if target is not None:
            convert_to(folder, target, quantization, watcher)
            new, serve = True, str(target)
        else:
            target, new = convert_folder(folder, quantization, home(os.environ), watcher)
            serve = f"{folder.resolve()} --engine ctranslate2"
            if quantization != QUANTIZATION:
                serve += f" --compute-type {quantization}"
    typer.echo(f"{'Converted to' if new else 'Converted already:'} {target}")
    typer.echo(f"Serve it with: alcove serve {serve}")
