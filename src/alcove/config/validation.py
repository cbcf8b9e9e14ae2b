"""Values by their place -> the one `Settings` of them all, and a line for each value that cannot be used.

Called by `config/load.py`; the words for a fault are also those of `config/environment.py`. Types are strict, as in
JSON: the text "8000" is not a number, and true is not 1.
"""

import json
import re
from collections.abc import Mapping, Set
from typing import Any, NamedTuple

from pydantic import ValidationError

from alcove.config.layers import MADE, Entry, Location
from alcove.config.problems import nearest
from alcove.config.settings import Settings

NEEDED = ("name", "source")
"""Without these there is no model. That one is missing is said by the reader of the file, who knows where."""


_SHAPES = {
    "allowed_hosts": "should be a name like models.example or *.models.example, without scheme and port",
    "cors_origins": "should be * or an origin like https://chat.example, in small letters and without a path",
    "format": "should contain {instruction}, which stands for the prompt",
    "otel_endpoint": "should begin with http:// or https:// and a host",
}
"""What the patterns of settings ask for, in words."""


class Validated(NamedTuple):
    """What can be used of the values, and what cannot."""

    settings: Settings
    entries: dict[Location, Entry]
    """The values that can be used. Models without a name or a source are left out, those behind them move up."""
    problems: list[str]


def validated(entries: Mapping[Location, Entry]) -> Validated:
    """Make settings of these values, those left out that are wrong."""
    usable = _moved_up(entries)
    unwritable = {
        place: f"{entry.origin}: should be text in UTF-8" for place, entry in usable.items() if not _is_utf_8(entry)
    }
    problems = [*unwritable.values()]
    usable = _without(unwritable.keys(), usable) if unwritable else usable
    while True:
        try:
            settings = Settings.model_validate_json(json.dumps(_nested(usable), default=str), strict=True)
            return Validated(settings, usable, problems)
        except ValidationError as error:
            wrong = _wrong(error, usable)
        problems += wrong.values()
        remaining = _without(wrong.keys(), usable)
        assert len(remaining) < len(usable), "what is wrong is a value, or a model that lacks one"
        usable = remaining


def _wrong(error: ValidationError, entries: Mapping[Location, Entry]) -> dict[Location, str]:
    """A line for each value that cannot be used."""
    wrong: dict[Location, str] = {}
    for fault in error.errors(include_url=False):
        if (at := _entry_of(fault["loc"], entries)) is not None:
            wrong.setdefault(at, _line(fault, entries[at]))
    return wrong


def in_words(fault: Any, shown: str) -> str:
    """A fault that pydantic has found: what should be there, what is, and the nearest of a few words."""
    problem = str(fault["msg"]).removeprefix("Input ")
    hint = ""
    if fault["type"] == "literal_error":
        hint = nearest(str(fault["input"]), re.findall(r"'([^']*)'", fault["ctx"]["expected"]))
    if fault["type"] == "string_pattern_mismatch":
        problem = next((_SHAPES[part] for part in fault["loc"] if part in _SHAPES), problem)
    return problem + shown + hint


def _line(fault: Any, entry: Entry) -> str:
    secret = not MADE.isdisjoint(fault["loc"])  # stays out of the log
    shown = "" if secret else f", not {_shortened(fault['input'])}"
    return f"{entry.origin}: {in_words(fault, shown)}"


def _shortened(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_utf_8(entry: Entry) -> bool:
    """Texts of the environment and of the command line may be any bytes."""
    try:
        json.dumps(entry.value, default=str, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _entry_of(location: Location, entries: Mapping[Location, Entry]) -> Location | None:
    return next((location[:end] for end in range(len(location), 0, -1) if location[:end] in entries), None)


def _without(wrong: Set[Location], entries: Mapping[Location, Entry]) -> dict[Location, Entry]:
    kept = {location: entry for location, entry in entries.items() if location not in wrong}
    whole = {index for index in _indices(kept) if all(("models", index, name) in kept for name in NEEDED)}
    return _moved_up({place: entry for place, entry in kept.items() if place[0] != "models" or place[1] in whole})


def _moved_up(entries: Mapping[Location, Entry]) -> dict[Location, Entry]:
    places = {index: place for place, index in enumerate(_indices(entries))}
    return {
        ("models", places[int(location[1])], *location[2:]) if location[0] == "models" else location: entry
        for location, entry in entries.items()
    }


def _indices(entries: Mapping[Location, Entry]) -> list[int]:
    return sorted({int(location[1]) for location in entries if location[0] == "models"})


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
