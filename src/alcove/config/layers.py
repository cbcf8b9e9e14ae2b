"""Settings in the making: values by their place in `Settings`, each with where it came from.

Every source of configuration (file, environment, flags) gives a `Layer`; later ones lie over earlier ones, and
`validated` makes the one `Settings` of them all. An error names the source and the key in that source's own words.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import ValidationError

from alcove.config.settings import AuthSettings, ModelSettings, PromptSettings, ServerSettings, Settings
from alcove.errors import ConfigurationError

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


KNOWN: Mapping[Location, frozenset[str]] = MappingProxyType(
    {
        (): frozenset(Settings.model_fields) - {"home"},
        ("server",): frozenset(ServerSettings.model_fields),
        ("auth",): frozenset(AuthSettings.model_fields) - {"keys"},
        ("models",): frozenset(ModelSettings.model_fields),
        ("models", "prompt"): frozenset(PromptSettings.model_fields),
    }
)
"""The known keys of each table; that of a model stands for all of them."""


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'port'?`, or nothing where no known word is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.5) or get_close_matches(word.lower(), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def validated(entries: Mapping[Location, Entry]) -> Settings:
    """The settings that these values make.

    Raises `ConfigurationError` for the first value that cannot be used. Types are strict, as in JSON: the text
    "8000" is not a number, and true is not 1.
    """
    nested = _nested(entries)
    try:
        return Settings.model_validate_json(json.dumps(nested, default=str), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigurationError(_explained(first, entries)) from None


def _nested(entries: Mapping[Location, Entry]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    models: dict[int, dict[str, Any]] = {}
    for location, entry in entries.items():
        match location:
            case ("models", int(index), *rest):
                node, names = models.setdefault(index, {}), rest
            case _:
                node, names = tree, list(location)
        for name in names[:-1]:
            node = node.setdefault(str(name), {})
        node[str(names[-1])] = entry.value
    if models:
        tree["models"] = [models[index] for index in sorted(models)]
    return tree


def _explained(error: Any, entries: Mapping[Location, Entry]) -> str:
    location: Location = error["loc"]
    at = next(location[:end] for end in range(len(location), 0, -1) if location[:end] in entries)
    problem = str(error["msg"]).removeprefix("Input ")
    if error["type"] == "string_pattern_mismatch" and location[-1] == "format":
        problem = "should contain {instruction}, which stands for the prompt"
    shown = "" if "keys" in location else f", not {_shown(error['input'])}"  # a secret stays out of the log
    return f"{entries[at].origin}: {problem}{shown}"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
