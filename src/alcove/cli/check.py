"""`alcove check`: every setting and its origin as a table on standard output, or everything that is wrong."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ByteSize
from rich.console import Console

from alcove.cli.failing import EXIT_CONFIGURATION, fail
from alcove.cli.model_check import ModelCheck
from alcove.cli.tables import show
from alcove.config.load import DEFAULT, Loaded, examine


def check(what: str | None) -> None:
    """Print the settings. Where something is wrong, exit with a line for each thing instead: a table would hide them,
    and show values that nobody has asked for."""
    examined = examine(what, os.environ, {}, Path.cwd())
    for warning in examined.warnings:
        Console(stderr=True, highlight=False).print(f"WARNING {warning}", style="yellow", markup=False, soft_wrap=True)
    if problems := [*examined.problems, *_of_models(examined)]:
        fail(problems, EXIT_CONFIGURATION)
    rows = [(path, _shown(path, _value(examined.settings, path)), origin) for path, origin in examined.origins.items()]
    show(
        ("Setting", "Value", "From"),
        rows,
        faint=frozenset(number for number, row in enumerate(rows) if row[2] == DEFAULT),
    )


def _of_models(examined: Loaded) -> Iterator[str]:
    for index, model in enumerate(examined.settings.models):

        def origin(field: str, index: int = index, name: str = model.name) -> str:
            found = examined.origins[f"models[{index}].{field}"]
            return f"model {name!r}.{field}" if found == DEFAULT else found

        yield from ModelCheck(model, origin, examined.settings.home).problems()


def _value(settings: BaseModel, path: str) -> Any:
    value: Any = settings
    for step in path.replace("[", ".").replace("]", "").split("."):
        value = value[int(step)] if step.isdigit() else getattr(value, step)
    return value


def _shown(path: str, value: Any) -> str:
    if path in ("auth.keys", "auth.admin_keys"):  # how many, never which
        return f"{len(value)} key{'s' * (len(value) != 1)}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, ByteSize):
        return value.human_readable()
    return "-" if value is None or value == {} else str(value)
