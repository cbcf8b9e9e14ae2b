"""`alcove.toml` -> Layer: alcove's own configuration file, called by `config/sources.py`."""

from os.path import expanduser
from pathlib import Path
from typing import Any

from alcove.config.files import read_toml
from alcove.config.layers import KNOWN, Entry, Layer, Location, Origin, nearest
from alcove.errors import ConfigurationError

FILE_NAME = "alcove.toml"
MODEL_TABLE = "model"
"""The file's name for `Settings.models`: an array of tables, `[[model]]`."""


def read(path: Path) -> Layer:
    """The values of an alcove.toml. Relative folders in it are relative to the file.

    Raises `ConfigurationError` for a file that cannot be read, unknown keys, and a model without name or source.
    """
    data = read_toml(path)
    models = data.pop(MODEL_TABLE, [])
    entries: dict[Location, Entry] = {}
    for key, value in data.items():
        if key not in KNOWN[()] or key == "models":
            raise _unknown(path, key, [*sorted(KNOWN[()] - {"models"}), MODEL_TABLE])
        entries |= _flat(path, (key,), key, value)
    if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
        raise ConfigurationError(f"{path}: {MODEL_TABLE}: should be tables, each headed [[{MODEL_TABLE}]]")
    for index, model in enumerate(models):
        entries |= _model(path, index, model)
    return Layer(source=str(path), entries=_beside(path, entries))


def _model(path: Path, index: int, model: dict[str, Any]) -> dict[Location, Entry]:
    label = f"{MODEL_TABLE} {model.get('name', index + 1)!r}"
    for key in ("name", "source"):
        if key not in model:
            raise ConfigurationError(f"{path}: {label}: {key!r} is missing")
    return _flat(path, ("models", index), label, model)


def _flat(path: Path, location: Location, label: str, value: Any) -> dict[Location, Entry]:
    """A table's values by their places; what is not a known table is a value."""
    table = tuple(part for part in location if isinstance(part, str))
    if table not in KNOWN:
        return {location: Entry(value, Origin(str(path), label))}
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path}: {label}: should be a table, not {value!r}")
    entries: dict[Location, Entry] = {}
    for key, inner in value.items():
        if table == ("auth",) and key == "keys":
            raise ConfigurationError(
                f"{path}: auth.keys: keys do not belong into a configuration file; put them into the environment "
                "variable ALCOVE_API_KEYS, or one a line into a file that auth.keys_file names"
            )
        if key not in KNOWN[table]:
            raise _unknown(path, f"{label}.{key}", sorted(KNOWN[table]))
        entries |= _flat(path, (*location, key), f"{label}.{key}", inner)
    return entries


def _unknown(path: Path, key: str, known: list[str]) -> ConfigurationError:
    return ConfigurationError(f"{path}: {key}: unknown key{nearest(key.rpartition('.')[2], known)}")


def _beside(path: Path, entries: dict[Location, Entry]) -> dict[Location, Entry]:
    """The same, with the folders and files that lie beside the configuration file made absolute."""
    folder = path.absolute().parent

    def absolute(location: Location, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        beside = folder / expanduser(value)
        match location:
            case ("auth", "keys_file"):
                return str(beside)
            case ("models", _, "source") if value.startswith((".", "~")) or beside.is_dir():
                return str(beside)
            case ("models", _, "prompt", "chat_template") if "{" not in value and beside.is_file():
                return str(beside)  # a template has braces, the path of one has none
            case _:
                return value

    return {location: Entry(absolute(location, value), origin) for location, (value, origin) in entries.items()}
