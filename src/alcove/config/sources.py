"""WHAT to serve -> Layer: a configuration file, a model folder, a pulled name, or nothing at all.

Called by `config/load.py`; `alcove serve [WHAT]`, `alcove check [WHAT]` and `ALCOVE_CONFIG` name the same things.
"""

import re
from collections.abc import Mapping
from os.path import expanduser, isdir, isfile
from pathlib import Path
from typing import Any

from alcove.config import alcove_toml, legacy
from alcove.config.files import read_json, read_text
from alcove.config.layers import Entry, Layer, Origin
from alcove.config.problems import NEAR_PATH, nearest
from alcove.errors import ConfigurationError

BUILTIN = "builtin:"
BUILTIN_MODELS = ("alcove-seq2seq", "alcove-chat")
"""The models of the package; the first is the default."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(@[\w./-]+)?")
_CONFIGURATIONS = {".toml", ".json"}
_WEIGHTS = ("model.bin", "*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin")


def layer_of(what: str | None, environ: Mapping[str, str], cwd: Path) -> Layer:
    """What is said about the server and its models by WHAT, else by the environment, else by the working directory.

    Raises `ConfigurationError` when it cannot be found or read.
    """
    what = what or environ.get("ALCOVE_CONFIG")
    if what:
        return _named(what, cwd)
    if folder := environ.get("LLM_ARTIFACT_DIR"):
        return legacy.from_artifact_folder(cwd / expanduser(folder))
    return _configured_folder(cwd, cwd) or _builtin(BUILTIN_MODELS, Origin("built in", "models"))


def _named(what: str, cwd: Path) -> Layer:
    path = cwd / expanduser(what)
    origin = Origin("WHAT", what)
    if isdir(path):  # unlike the path's own method it takes names of any length
        return _configured_folder(path, cwd) or _model_folder(path, origin)
    if isfile(path):
        return _file(path, cwd, origin)
    name = what.removeprefix(BUILTIN)
    if what.startswith(BUILTIN) or name in BUILTIN_MODELS:
        return _builtin((name,), origin)
    if _HUB_NAME.fullmatch(what) and path.suffix not in _CONFIGURATIONS:
        return _one_model(what, what, origin)
    raise ConfigurationError(f"{what}: no such file or folder, nor the name of a model{nearest_path(what, cwd)}")


def nearest_path(path: str, cwd: Path, *, any_file: bool = False) -> str:
    """`; did you mean './my-model'?`: a folder or configuration file, or any file, that lies where the path leads and
    is named much like its last part."""
    wanted = cwd / expanduser(path)
    try:
        beside = [
            entry.name
            for entry in wanted.parent.iterdir()
            if any_file or entry.is_dir() or entry.suffix in _CONFIGURATIONS
        ]
    except OSError:
        return ""
    return nearest(wanted.name, beside, NEAR_PATH, before=path.rstrip("/").removesuffix(wanted.name))


def _configured_folder(folder: Path, cwd: Path) -> Layer | None:
    """The configuration that lies in a folder, or None."""
    if (path := folder / alcove_toml.FILE_NAME).is_file():
        return alcove_toml.read(path)
    path = folder / "config.json"
    # A model's own config.json has no MODELS: only one that speaks of them is ours to read, or to complain about.
    if path.is_file() and '"MODELS"' in read_text(path) and "MODELS" in (data := read_json(path)):
        return legacy.from_config_json(path, data, cwd)
    return None


def _file(path: Path, cwd: Path, origin: Origin) -> Layer:
    if path.suffix == ".toml":
        return alcove_toml.read(path)
    if path.suffix != ".json":
        raise ConfigurationError(f"{path}: a configuration file ends in .toml or .json")
    data = read_json(path)
    if "MODELS" in data:
        return legacy.from_config_json(path, data, cwd)
    if path.name == legacy.BOOTSTRAP or _is_model_config(path, data):
        return _model_folder(path.parent, origin)
    raise ConfigurationError(f"{path}: has no MODELS, and is not the config.json of a model either")


def _is_model_config(path: Path, data: Mapping[str, Any]) -> bool:
    weights_beside = any(True for pattern in _WEIGHTS for _ in path.parent.glob(pattern))
    return path.name == "config.json" and ("model_type" in data or weights_beside)


def _model_folder(folder: Path, origin: Origin) -> Layer:
    if (folder / legacy.BOOTSTRAP).is_file():
        return legacy.from_bootstrap(folder)
    folder = folder.resolve()
    return _one_model(folder.name or "model", str(folder), origin)


def _one_model(name: str, source: str, origin: Origin) -> Layer:
    return Layer(
        source=str(origin),
        entries={("models", 0, "name"): Entry(name, origin), ("models", 0, "source"): Entry(source, origin)},
    )


def _builtin(names: tuple[str, ...], origin: Origin) -> Layer:
    fields = [{"name": name, "source": BUILTIN + name, "default": index == 0} for index, name in enumerate(names)]
    return Layer(
        source=str(origin),
        entries={
            ("models", index, field): Entry(value, origin)
            for index, model in enumerate(fields)
            for field, value in model.items()
        },
    )
