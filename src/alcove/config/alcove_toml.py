"""`alcove.toml` -> Layer: alcove's own configuration file, called by `config/sources.py`."""

from os.path import expanduser, isdir, isfile
from pathlib import Path
from typing import Any

from alcove.config.files import is_template, read_toml
from alcove.config.layers import KNOWN, Entry, Layer, Location, Origin
from alcove.config.problems import nearest
from alcove.config.validation import NEEDED

FILE_NAME = "alcove.toml"
MODEL_TABLE = "model"
"""The file's name for `Settings.models`: an array of tables, `[[model]]`."""

SECRET = {"keys": "ALCOVE_API_KEYS", "admin_keys": "ALCOVE_ADMIN_KEYS"}
"""Keys of `[auth]` that no file may have, and the variable that holds them."""


def read(path: Path) -> Layer:
    """The values of an alcove.toml. Relative folders in it are relative to the file.

    Unknown keys, tables that are none, and models without name or source are among the layer's problems. Raises
    `ConfigurationError` for a file that cannot be read.
    """
    data = read_toml(path)
    models = data.pop(MODEL_TABLE, [])
    reader = _Reader(path)
    for key, value in data.items():
        if key not in KNOWN[()] or key == "models":
            reader.unknown(key, [*sorted(KNOWN[()] - {"models"}), MODEL_TABLE])
        else:
            reader.take((key,), key, value)
    if isinstance(models, list) and all(isinstance(model, dict) for model in models):
        for index, model in enumerate(models):
            reader.take_model(index, model)
    else:
        reader.problems.append(f"{path}: {MODEL_TABLE}: should be tables, each headed [[{MODEL_TABLE}]]")
    return Layer(source=str(path), entries=_beside(path, reader.entries), problems=tuple(reader.problems))


class _Reader:
    """Collects a file's values by their places; what is not a known table is a value."""

    def __init__(self, path: Path) -> None:
        self.entries: dict[Location, Entry] = {}
        self.problems: list[str] = []
        self._path = path

    def take_model(self, index: int, model: dict[str, Any]) -> None:
        label = f"{MODEL_TABLE} {model.get('name', index + 1)!r}"
        self.problems += [f"{self._path}: {label}: {key!r} is missing" for key in NEEDED if key not in model]
        self.take(("models", index), label, model)

    def take(self, location: Location, label: str, value: Any) -> None:
        """`label` is what the file calls the location."""
        table = tuple(part for part in location if isinstance(part, str))
        if table not in KNOWN:
            self.entries[location] = Entry(value, Origin(str(self._path), label))
            return
        if not isinstance(value, dict):
            self.problems.append(f"{self._path}: {label}: should be a table, not {value!r}")
            return
        for key, inner in value.items():
            if table == ("auth",) and key in SECRET:
                self.problems.append(
                    f"{self._path}: auth.{key}: keys do not belong into a configuration file; put them into the "
                    f"environment variable {SECRET[key]}, or one a line into a file that auth.{key}_file names"
                )
            elif key not in KNOWN[table]:
                self.unknown(f"{label}.{key}", sorted(KNOWN[table]))
            else:
                self.take((*location, key), f"{label}.{key}", inner)

    def unknown(self, key: str, known: list[str]) -> None:
        self.problems.append(f"{self._path}: {key}: unknown key{nearest(key.rpartition('.')[2], known)}")


def _beside(path: Path, entries: dict[Location, Entry]) -> dict[Location, Entry]:
    """The same, with the folders and files that lie beside the configuration file made absolute."""
    folder = path.absolute().parent

    def absolute(location: Location, value: Any) -> Any:
        if not isinstance(value, str) or not value:
            return value
        beside = folder / expanduser(value)
        match location:
            case ("auth", "keys_file" | "admin_keys_file"):
                return str(beside)
            case ("models", _, "source") if value.startswith((".", "~")) or isdir(beside):
                return str(beside)
            case ("models", _, "prompt", "chat_template") if not is_template(value) and isfile(beside):
                return str(beside)
            case _:
                return value

    return {location: Entry(absolute(location, value), origin) for location, (value, origin) in entries.items()}
