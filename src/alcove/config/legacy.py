"""The two forerunners' set-ups -> Layers, key by key; called by `config/sources.py`.

ctranslate2-fastapi: a folder with a CTranslate2 model and a `bootstrap_config.json`.
transformers-openai-api: a `config.json` with `MODELS`.
"""

from collections.abc import Mapping
from os.path import expanduser
from pathlib import Path
from typing import Any

from alcove.config.files import read_json
from alcove.config.layers import Entry, Layer, Location, Origin, nearest
from alcove.errors import ConfigurationError

BOOTSTRAP = "bootstrap_config.json"
_BOOTSTRAP_KEYS = frozenset({"name", "params", "quantization", "max_tokens", "prompt_fmt"})
_ARTIFACTS = (
    ("model.bin",),
    ("config.json",),
    ("shared_vocabulary.json", "shared_vocabulary.txt", "source_vocabulary.json", "source_vocabulary.txt"),
    ("tokenizer.json",),
    (BOOTSTRAP,),
)
"""What an artifact folder holds; of each line one file."""

_KEYS = frozenset({"HOST", "PORT", "BEARER_TOKENS", "METRICS", "ENV", "MODELS"})
_MODEL_KEYS = frozenset(
    {
        "NAME",
        "ENABLED",
        "TYPE",
        "MODEL_CONFIG",
        "MODEL_DEVICE",
        "TOKENIZER_CONFIG",
        "TOKENIZER_DEVICE",
        "GENERATE_CONFIG",
        "DECODE_CONFIG",
    }
)
_TASKS = {"Seq2Seq": "seq2seq", "CausalLM": "causal"}
_TABLES = {"MODEL_CONFIG": "model", "TOKENIZER_CONFIG": "tokenizer", "DECODE_CONFIG": "decode"}
"""Where each table of keyword arguments goes in `engine_options`."""

_JSON_NAMES = {str: "a text", int: "a whole number", dict: "an object", list: "a list", bool: "true or false"}


def from_artifact_folder(folder: Path) -> Layer:
    """ctranslate2-fastapi's `LLM_ARTIFACT_DIR`.

    Raises `ConfigurationError` naming the first file that is missing.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"environment: LLM_ARTIFACT_DIR: no such folder: {folder}")
    for names in _ARTIFACTS:
        if not any((folder / name).is_file() for name in names):
            raise ConfigurationError(f"environment: LLM_ARTIFACT_DIR: {folder}: {' or '.join(names[:2])} is missing")
    return from_bootstrap(folder)


def from_bootstrap(folder: Path) -> Layer:
    """A model folder with a `bootstrap_config.json`, which names the model and its prompt rules.

    `max_tokens` limits the prompt and the answer, as it did there; `params` describes the model and sets nothing.
    """
    path = folder / BOOTSTRAP
    data = read_json(path)
    if "name" not in data:
        raise ConfigurationError(f"{path}: 'name' is missing")
    entries: dict[Location, Entry] = {}

    def put(field: str, value: Any, key: str) -> None:
        entries["models", 0, *field.split(".")] = Entry(value, Origin(str(path), key))

    put("name", data["name"], "name")
    put("source", str(folder.absolute()), "(its folder)")
    put("engine", "ctranslate2", "(its presence)")
    put("prompt.profile", "languagemodels", "(its presence)")
    if "quantization" in data:
        put("compute_type", data["quantization"], "quantization")
    if "max_tokens" in data:
        put("max_prompt_tokens", data["max_tokens"], "max_tokens")
        put("max_output_tokens", data["max_tokens"], "max_tokens")
        put("generation", {"max_new_tokens": data["max_tokens"]}, "max_tokens")
    if "prompt_fmt" in data:
        put("prompt.format", data["prompt_fmt"], "prompt_fmt")
    warnings = tuple(
        f"{path}: {key}: unknown key, ignored{nearest(key, _BOOTSTRAP_KEYS)}" for key in data.keys() - _BOOTSTRAP_KEYS
    )
    return Layer(source=str(path), entries=entries, forerunner=True, warnings=tuple(sorted(warnings)))


def from_config_json(path: Path, data: Mapping[str, Any], cwd: Path) -> Layer:
    """transformers-openai-api's `config.json`, already read.

    `NAME` is a folder relative to `cwd` or a Hub id. Without `METRICS` there is no `/v1/metrics`, and an `ENV` other
    than `production` means a debug log, as there. Tokens always go where the model is: `TOKENIZER_DEVICE` is checked
    and sets nothing. Raises `ConfigurationError` for unknown keys and values that cannot be used.
    """
    _check_keys(path, "", data, _KEYS)
    entries: dict[Location, Entry] = {}

    def put(location: Location, value: Any, key: str) -> None:
        entries[location] = Entry(value, Origin(str(path), key))

    if "HOST" in data:
        put(("server", "host"), data["HOST"], "HOST")
    put(("server", "port"), data.get("PORT", 5000), _named("PORT", data))
    put(("server", "json_metrics"), bool(_typed(path, "METRICS", data, int, default=0)), _named("METRICS", data))
    if "ENV" in data:
        put(("server", "log_level"), "info" if _typed(path, "ENV", data, str) == "production" else "debug", "ENV")
    if "BEARER_TOKENS" in data:
        if not data["BEARER_TOKENS"]:
            raise ConfigurationError(
                f"{path}: BEARER_TOKENS: holds no token, so that nobody could use the server; add one, or "
                "remove the key to serve without"
            )
        put(("auth", "keys"), data["BEARER_TOKENS"], "BEARER_TOKENS")
    models = _typed(path, "MODELS", data, dict)
    enabled = {
        name: model for name, model in models.items() if _is_enabled(path, f"MODELS.{name}", _table(path, name, model))
    }
    for index, (name, model) in enumerate(enabled.items()):
        for field, (value, key) in _model(path, name, model, cwd).items():
            put(("models", index, field), value, f"MODELS.{name}{key}")
    return Layer(source=str(path), entries=entries, forerunner=True)


def _model(path: Path, name: str, model: dict[str, Any], cwd: Path) -> dict[str, tuple[Any, str]]:
    """Fields of `ModelSettings`, each with the key that set it."""
    label = f"MODELS.{name}."
    kind = _typed(path, f"{label}TYPE", model, str)
    if kind not in _TASKS:
        raise ConfigurationError(
            f"{path}: {label}TYPE: unknown type {kind!r}; it is one of {', '.join(_TASKS)}{nearest(kind, _TASKS)}"
        )
    for key in ("MODEL_DEVICE", "TOKENIZER_DEVICE"):
        if model.get(key) is not None:
            _typed(path, label + key, model, str)
    device = model.get("MODEL_DEVICE", "cuda")
    source = _typed(path, f"{label}NAME", model, str)
    folder = cwd / expanduser(source)
    options = {
        place: _typed(path, label + key, model, dict, default={}) for key, place in _TABLES.items() if key in model
    }
    generation = dict(_typed(path, f"{label}GENERATE_CONFIG", model, dict, default={}))
    if "max_tokens" in generation:  # there the name of OpenAI's limit meant the whole length
        generation["max_length"] = generation.pop("max_tokens")
    return {
        "name": (name, ""),
        "source": (str(folder) if folder.is_dir() else source, ".NAME"),
        "engine": ("transformers", ""),
        "task": (_TASKS[kind], ".TYPE"),
        "device": ("map" if device is None else device, "." + _named("MODEL_DEVICE", model)),
        "revision": (options.get("model", {}).get("revision"), ".MODEL_CONFIG"),
        "generation": (generation, ".GENERATE_CONFIG"),
        "engine_options": (options, "." + ", ".join(key for key in _TABLES if key in model)),
    }


def _named(key: str, data: Mapping[str, Any]) -> str:
    return key if key in data else f"{key} (its default)"


def _table(path: Path, name: str, model: Any) -> dict[str, Any]:
    if not isinstance(model, dict):
        raise ConfigurationError(f"{path}: MODELS.{name}: should be an object")
    _check_keys(path, f"MODELS.{name}.", model, _MODEL_KEYS)
    return model


def _is_enabled(path: Path, label: str, model: dict[str, Any]) -> bool:
    return bool(_typed(path, f"{label}.ENABLED", model, bool, default=True))


def _check_keys(path: Path, label: str, data: Mapping[str, Any], known: frozenset[str]) -> None:
    for key in data:
        if key not in known:
            raise ConfigurationError(f"{path}: {label}{key}: unknown key{nearest(key, known)}")


def _typed(path: Path, label: str, data: Mapping[str, Any], kind: type, default: Any = None) -> Any:
    """The value whose key ends `label`; a missing one is its default, or an error where it has none."""
    key = label.rpartition(".")[2]
    value = data.get(key, default)
    if value is None and key not in data:
        raise ConfigurationError(f"{path}: {label}: is missing")
    if not isinstance(value, kind):
        raise ConfigurationError(f"{path}: {label}: should be {_JSON_NAMES[kind]}, not {value!r}")
    return value
