"""`alcove list`: the models on this machine as a table, or as JSON for programs."""

import json
import os
from dataclasses import asdict
from typing import Any

import typer
from rich.filesize import decimal

from alcove.cli.tables import show
from alcove.config.load import home
from alcove.store.listing import Listed, models

_TITLES = ("Name", "Kind", "Engine", "Size", "Memory", "Source", "Commit")
_SHORT_COMMIT = 12


def show_models(*, as_json: bool) -> None:
    """Print what `alcove serve` can be given by name, and behind the table why a model cannot be served."""
    listed = models(home(os.environ))
    if as_json:
        typer.echo(json.dumps([plain(model) for model in listed], indent=2, ensure_ascii=False))
        return
    show(_TITLES, [_row(model) for model in listed])
    for model in listed:
        if model.problem is not None:
            typer.echo(f"{model.name} cannot be served: {model.problem}")


def plain(model: Listed) -> dict[str, Any]:
    """The same for JSON: sizes in bytes, the engine under its name, the folder as a text."""
    fields = asdict(model)
    return {"name": fields.pop("name"), "engine": fields.pop("layout"), **fields, "folder": str(model.folder)}


def engine_of(model: Listed) -> str:
    """The engine that runs it, with the type that its weights were converted to."""
    return " ".join(word for word in (model.layout, model.quantization) if word) or "-"


def size_of(count: int | None) -> str:
    """Bytes for a person."""
    return "-" if count is None else decimal(count)


def _row(model: Listed) -> tuple[str, ...]:
    return (
        model.name,
        model.kind or "-",
        engine_of(model),
        size_of(model.size),
        size_of(model.memory),
        model.source or "-",
        (model.commit or "-")[:_SHORT_COMMIT],
    )
