"""`alcove check`: every setting and its origin, as a table on standard output."""

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console

from alcove.cli.tables import show
from alcove.config.load import DEFAULT, load


def check(what: str | None) -> None:
    """Print the settings. Raises `ConfigurationError` when they are wrong."""
    loaded = load(what, os.environ, {}, Path.cwd())
    rows = [(path, _shown(path, _value(loaded.settings, path)), origin) for path, origin in loaded.origins.items()]
    show(
        ("Setting", "Value", "From"),
        rows,
        faint=frozenset(number for number, row in enumerate(rows) if row[2] == DEFAULT),
    )
    for warning in loaded.warnings:
        Console(stderr=True, highlight=False).print(f"WARNING {warning}", style="yellow", markup=False, soft_wrap=True)


def _value(settings: BaseModel, path: str) -> Any:
    value: Any = settings
    for step in path.replace("[", ".").replace("]", "").split("."):
        value = value[int(step)] if step.isdigit() else getattr(value, step)
    return value


def _shown(path: str, value: Any) -> str:
    if path == "auth.keys":  # how many, never which
        return f"{len(value)} key{'s' * (len(value) != 1)}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value is None or value == {} else str(value)
