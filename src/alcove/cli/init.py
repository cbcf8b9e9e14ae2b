"""`alcove init`: a commented alcove.toml for the models in the store, written whole or not at all."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from alcove.config.commented import commented
from alcove.config.load import home
from alcove.config.sources import BUILTIN
from alcove.errors import ConfigurationError
from alcove.store.convertible import QUANTIZATION
from alcove.store.listing import Listed, models

STANDARD_OUTPUT = Path("-")


def init(output: Path, *, force: bool) -> None:
    """Write the file and say what is in it. Raises `ConfigurationError` when it is there already or cannot be
    written."""
    served = _served(models(home(os.environ)))
    text = commented(served)
    if output == STANDARD_OUTPUT:
        sys.stdout.write(text)
        return
    _write(output, text, force=force)
    typer.echo(f"Wrote {output}, which serves {', '.join(model['name'] for model in served)}.")
    named = "" if output == Path("alcove.toml") else f" {output}"
    typer.echo(f"See what holds with: alcove check{named}\nServe it with: alcove serve{named}")


def _served(listed: list[Listed]) -> list[dict[str, Any]]:
    """What is set of each model: those of the store, or the built-in ones where it is empty.

    The first is the default, and of several that were pulled only that one is loaded at the start: together they may
    be more than the memory holds.
    """
    usable = {model.name: model for model in listed if model.problem is None}  # a name may stand for two layouts
    pulled = [model for model in usable.values() if not model.name.startswith(BUILTIN)]
    served: list[dict[str, Any]] = []
    for model in pulled or usable.values():
        given = dict(_names(model, {other["name"] for other in served}))
        if len(pulled or usable) > 1 and not served:
            given["default"] = True
        elif pulled and served:
            given["load"] = "first_use"
        served.append(given)
    return served


def _names(model: Listed, taken: set[str]) -> Iterator[tuple[str, Any]]:
    if Path(model.name).is_absolute():  # a folder, of which the store has the conversion
        short = Path(model.name).name
        yield "name", model.name if short in taken else short
        yield "source", model.name
        yield "engine", "ctranslate2"
        if model.quantization not in (None, QUANTIZATION):  # or it would be converted once more
            yield "compute_type", model.quantization
    else:
        yield "name", model.name.removeprefix(BUILTIN)
        yield "source", model.name


def _write(path: Path, text: str, *, force: bool) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            draft.write_text(text, encoding="utf-8")
            if force:
                draft.replace(path)
            else:
                path.hardlink_to(draft)  # unlike a rename it fails where there is a file already
        finally:
            draft.unlink(missing_ok=True)
    except FileExistsError:
        raise ConfigurationError(
            f"{path}: is there already; say --force to write over it, or choose another file with --output"
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigurationError(f"{path}: cannot be written: {reason}; choose another file with --output") from None
