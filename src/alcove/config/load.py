"""The only reader of configuration files, environment variables and command-line flags.

Comes in: WHAT to serve, the environment, the flags, the working directory. Goes out: one `Settings`, and for every
value in it where it came from. Order: defaults < file < environment < flags. Called by `cli/` and `asgi.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from alcove.config.access import KEYS, gathered_keys, without_keys
from alcove.config.environment import EVERY_MODEL, from_environment, from_flags
from alcove.config.layers import Entry, Location, validated
from alcove.config.settings import Settings
from alcove.config.sources import layer_of
from alcove.errors import ConfigurationError

DEFAULT = "default"
"""The origin of a value that nothing has set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The settings, and what a person may want to know about them."""

    settings: Settings
    origins: Mapping[str, str]
    """Where each value came from, by its path: `server.port`, `models[0].engine`."""
    warnings: tuple[str, ...]
    """What the person who starts the server must know, one line each."""


def load(
    what: str | None,
    environ: Mapping[str, str],
    flags: Mapping[str, Any],
    cwd: Path,
    *,
    address_known: bool = True,
) -> Loaded:
    """Find WHAT, and lay environment and flags over it.

    `flags` holds values by field name (`port`, `device`), None for a flag that was not given. `address_known` is False
    where another program binds the address, so that `server.host` proves nothing about who can reach the server.
    Raises `ConfigurationError`, one line that names the source and the key.
    """
    file = layer_of(what, environ, cwd)
    variables = from_environment(environ)
    models = sorted({location[1] for location in file.entries if location[0] == "models"}, key=str)
    entries: dict[Location, Entry] = dict(file.entries)
    for layer in (variables, from_flags(flags)):
        for location, entry in layer.entries.items():
            if EVERY_MODEL in location:
                entries |= {("models", index, *location[2:]): entry for index in models}
            else:
                entries[location] = entry
    settings = validated(entries)
    _check_models(settings, file.source, entries)
    if (keys := gathered_keys(settings.auth, entries, environ)) is not None:
        entries[KEYS] = keys
        settings = validated(entries)
    openness, warning = without_keys(settings, file, address_known=address_known)
    entries |= openness
    settings = validated(entries)
    return Loaded(
        settings=settings,
        origins=_origins(settings, entries),
        warnings=(*file.warnings, *variables.warnings, *((warning,) if warning else ())),
    )


def home(environ: Mapping[str, str]) -> Path:
    """Where pulled models are kept: `Settings.home`, for commands that need nothing else."""
    entry = from_environment(environ).entries.get(("home",))
    return Path(entry.value) if entry else Settings().home


def _check_models(settings: Settings, source: str, entries: Mapping[Location, Entry]) -> None:
    if not settings.models:
        raise ConfigurationError(
            f"{source}: no model is enabled; add one, or start without WHAT for the built-in models"
        )
    seen: set[str] = set()
    for index, model in enumerate(settings.models):
        for name in dict.fromkeys((model.name, *model.aliases)):
            if name in seen:
                field = "name" if name == model.name else "aliases"
                raise ConfigurationError(
                    f"{entries['models', index, field].origin}: a model before it is named {name!r}, too"
                )
            seen.add(name)
    defaults = [index for index, model in enumerate(settings.models) if model.default]
    if len(defaults) > 1:
        origin = entries["models", defaults[1], "default"].origin
        raise ConfigurationError(f"{origin}: {settings.models[defaults[0]].name!r} is the default already")


def _origins(settings: Settings, entries: Mapping[Location, Entry]) -> dict[str, str]:
    """The origin of every value, by its path, in the order of the fields."""
    found: dict[str, str] = {}

    def visit(path: str, location: Location, value: Any) -> None:
        if isinstance(value, BaseModel):
            for name in type(value).model_fields:
                visit(f"{path}.{name}" if path else name, (*location, name), getattr(value, name))
        elif location == ("models",):
            for index, model in enumerate(value):
                visit(f"{path}[{index}]", (*location, index), model)
        else:
            found[path] = str(entries[location].origin) if location in entries else DEFAULT

    visit("", (), settings)
    return found
