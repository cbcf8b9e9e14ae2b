"""Settings in the making: values by their place in `Settings`, each with where it came from.

Every source of configuration (file, environment, flags) gives a `Layer`; later ones lie over earlier ones, and
`config/validation.py` makes the one `Settings` of them all. A problem names the source and the key in that source's
own words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from alcove.config.settings import AuthSettings, ModelSettings, PromptSettings, ServerSettings, Settings

Location = tuple[str | int, ...]
"""Where a value lies in `Settings`: `("server", "port")`, `("models", 0, "prompt", "profile")`."""


class Origin(NamedTuple):
    """Where a value came from."""

    source: str
    """A file's path, `environment` or `flag`."""
    key: str
    """The key in the source's own words: `server.port`, `ALCOVE_PORT`, `--port`."""

    def __str__(self) -> str:
        return f"{self.source}: {self.key}"


class Entry(NamedTuple):
    """A value and where it came from."""

    value: Any
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one source of configuration says."""

    source: str
    """What it is, for errors: a file's path, `environment`..."""
    entries: Mapping[Location, Entry] = field(default_factory=dict)
    forerunner: bool = False
    """Whether the source is a forerunner's set-up, which keeps its own meaning: open without keys on any address."""
    warnings: tuple[str, ...] = ()
    """What the person who starts the server should know, one line each."""
    problems: tuple[str, ...] = ()
    """What cannot be used of it, one line each: nothing is served until it is put right."""


MADE = frozenset({"keys", "admin_keys", "loopback_only"})
"""Fields of `AuthSettings` that are found out or gathered, and never written as they are."""

KNOWN: Mapping[Location, frozenset[str]] = MappingProxyType(
    {
        (): frozenset(Settings.model_fields) - {"home"},
        ("server",): frozenset(ServerSettings.model_fields),
        ("auth",): frozenset(AuthSettings.model_fields) - MADE,
        ("models",): frozenset(ModelSettings.model_fields),
        ("models", "prompt"): frozenset(PromptSettings.model_fields),
    }
)
"""The known keys of each table; that of a model stands for all of them."""
