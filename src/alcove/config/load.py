"""The only reader of configuration files, environment variables and command-line flags.

Comes in: WHAT to serve, the environment, the flags, the working directory. Goes out: one `Settings`, and for every
value in it where it came from. Order: defaults < file < environment < flags. Called by `cli/` and `asgi.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from alcove.config.access import answered_names, gathered_keys, without_keys
from alcove.config.environment import EVERY_MODEL, from_environment, from_flags
from alcove.config.layers import Entry, Layer, Location
from alcove.config.problems import escaped, noting, refuse
from alcove.config.settings import Settings
from alcove.config.sources import layer_of
from alcove.config.validation import validated

DEFAULT = "default"
"""The origin of a value that nothing has set."""
UNREAD = ""
"""The source of a layer whose file cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The settings, and what a person may want to know about them."""

    settings: Settings
    origins: Mapping[str, str]
    """Where each value came from, by its path: `server.port`, `models[0].engine`."""
    warnings: tuple[str, ...]
    """What the person who starts the server must know, one line each."""
    problems: tuple[str, ...] = ()
    """What is wrong, one line each; the settings are then what can be used of the rest. `load` gives none such."""


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
    Raises `ConfigurationError`, one line that names the source and the key of the first problem, and how many there
    are: a log is read by the line, and `alcove check` says all.
    """
    examined = examine(what, environ, flags, cwd, address_known=address_known)
    refuse(examined.problems)
    return examined


def examine(
    what: str | None,
    environ: Mapping[str, str],
    flags: Mapping[str, Any],
    cwd: Path,
    *,
    address_known: bool = True,
) -> Loaded:
    """The same, with everything that is wrong as `problems`."""
    problems: list[str] = []
    file = Layer(source=UNREAD)
    with noting(problems):
        file = layer_of(what, environ, cwd)
    variables = from_environment(environ)
    usable = validated(_over(file, variables, from_flags(flags)))
    problems += [*file.problems, *variables.problems, *usable.problems]
    if not (usable.settings.models or problems):
        problems.append(f"{file.source}: no model is enabled; add one, or start without WHAT for the built-in models")
    problems += _wrong_names(usable.settings, usable.entries)
    settings, entries = usable.settings, usable.entries
    warnings = [*file.warnings, *variables.warnings]
    with noting(problems):
        if file.source != UNREAD:  # it may be the one that has the keys
            keys = gathered_keys(settings.auth, entries, environ)
            settings, entries = _with(entries, keys.entries)
            openness, warning = without_keys(settings, file, address_known=address_known)
            settings, entries = _with(entries, openness)
            names = answered_names(settings, address_known=address_known)
            settings, entries = _with(entries, names)
            warnings += [*keys.warnings, *([warning] if warning else [])]
    return Loaded(
        settings=settings,
        origins=_origins(settings, entries),
        warnings=tuple(map(escaped, warnings)),
        problems=tuple(map(escaped, problems)),
    )


def home(environ: Mapping[str, str]) -> Path:
    """Where pulled models are kept: `Settings.home`, for commands that need nothing else. Raises `ConfigurationError`
    for variables that are wrong, since a mistyped ALCOVE_HOME would be another place."""
    variables = from_environment(environ)
    refuse(variables.problems)
    entry = variables.entries.get(("home",))
    return Path(entry.value) if entry else Settings().home


def _over(file: Layer, *others: Layer) -> dict[Location, Entry]:
    """The file's values, with the others laid over them."""
    models = sorted({location[1] for location in file.entries if location[0] == "models"}, key=str)
    entries = dict(file.entries)
    for layer in others:
        for location, entry in layer.entries.items():
            if EVERY_MODEL in location:
                entries |= {("models", index, *location[2:]): entry for index in models}
            else:
                entries[location] = entry
    return entries


def _with(entries: Mapping[Location, Entry], found: Mapping[Location, Entry]) -> tuple[Settings, dict[Location, Entry]]:
    """The settings with what has been found out about access, which must not get lost: that could open the server.
    Raises `ConfigurationError`."""
    settings, usable, problems = validated({**entries, **found})
    refuse(problems)
    return settings, usable


def _wrong_names(settings: Settings, entries: Mapping[Location, Entry]) -> Iterator[str]:
    seen: set[str] = set()
    for index, model in enumerate(settings.models):
        for name in dict.fromkeys((model.name, *model.aliases)):
            if name in seen:
                field = "name" if name == model.name else "aliases"
                yield f"{entries['models', index, field].origin}: a model before it is named {name!r}, too"
            seen.add(name)
    defaults = [index for index, model in enumerate(settings.models) if model.default]
    for index in defaults[1:]:
        origin = entries["models", index, "default"].origin
        yield f"{origin}: {settings.models[defaults[0]].name!r} is the default already"


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
