"""The two forerunners' set-ups -> Layers, key by key; called by `config/sources.py`.

ctranslate2-fastapi: a folder with a CTranslate2 model and a `bootstrap_config.json`.
transformers-openai-api: a `config.json` with `MODELS`.
"""

from collections.abc import Mapping
from os.path import expanduser, isdir
from pathlib import Path
from typing import Any

from alcove.config.files import read_json
from alcove.config.keys import key_of
from alcove.config.layers import Entry, Layer, Location, Origin
from alcove.config.problems import nearest
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
    and sets nothing. Unknown keys and values that cannot be used are among the layer's problems.
    """
    entries: dict[Location, Entry] = {}
    problems: list[str] = []

    def put(location: Location, value: Any, key: str) -> None:
        entries[location] = Entry(value, Origin(str(path), key))

    table = _Table(path, "", data, problems)
    table.check(_KEYS)
    if "HOST" in data:
        put(("server", "host"), data["HOST"], "HOST")
    put(("server", "port"), data.get("PORT", 5000), table.named("PORT"))
    put(("server", "json_metrics"), bool(table.take("METRICS", int, 0)), table.named("METRICS"))
    if "ENV" in data:
        put(("server", "log_level"), "info" if table.take("ENV", str) == "production" else "debug", "ENV")
    if "BEARER_TOKENS" in data:
        tokens = data["BEARER_TOKENS"]
        if not tokens:
            problems.append(
                f"{path}: BEARER_TOKENS: holds no token, so that nobody could use the server; add one, or "
                "remove the key to serve without"
            )
        elif not (isinstance(tokens, list) and all(map(_is_token, tokens))):
            table.note("BEARER_TOKENS", "should be a list of texts, none of them empty or with control characters")
        else:
            put(("auth", "keys"), [key_of(token, number) for number, token in enumerate(tokens, 1)], "BEARER_TOKENS")
    index = 0
    for name, model in table.take("MODELS", dict).items():
        before = len(problems)
        fields = _model(_Table(path, f"MODELS.{name}", model, problems), name, cwd)
        if fields and len(problems) == before:
            for field, (value, key) in fields.items():
                put(("models", index, field), value, f"MODELS.{name}{key}")
            index += 1
    return Layer(source=str(path), entries=entries, forerunner=True, problems=tuple(problems))


def _is_token(token: Any) -> bool:
    return isinstance(token, str) and token != "" and token.isprintable()


def _model(table: "_Table", name: str, cwd: Path) -> dict[str, tuple[Any, str]]:
    """Fields of `ModelSettings`, each with the key that set it; none of a model that is not enabled."""
    table.check(_MODEL_KEYS)
    if not table.take("ENABLED", bool, True):
        return {}
    kind = table.take("TYPE", str)
    if kind and kind not in _TASKS:
        table.note("TYPE", f"unknown type {kind!r}; it is one of {', '.join(_TASKS)}{nearest(kind, _TASKS)}")
    device = table.take("MODEL_DEVICE", str, "cuda", nullable=True)
    table.take("TOKENIZER_DEVICE", str, "", nullable=True)
    source = table.take("NAME", str)
    folder = cwd / expanduser(source)
    options = {place: table.take(key, dict) for key, place in _TABLES.items() if key in table.data}
    generation = dict(table.take("GENERATE_CONFIG", dict, {}))
    if "max_tokens" in generation:  # there the name of OpenAI's limit meant the whole length
        generation["max_length"] = generation.pop("max_tokens")
    return {
        "name": (name, ""),
        "source": (str(folder) if isdir(folder) else source, ".NAME"),
        "engine": ("transformers", ""),
        "task": (_TASKS.get(kind), ".TYPE"),
        "device": ("map" if device is None else device, "." + table.named("MODEL_DEVICE")),
        "revision": (options.get("model", {}).get("revision"), ".MODEL_CONFIG"),
        "generation": (generation, ".GENERATE_CONFIG"),
        "engine_options": (options, "." + ", ".join(key for key in _TABLES if key in table.data)),
    }


_NEEDED = object()


class _Table:
    """An object of the file, whose values are taken by type. What is wrong is noted, and a value of the type given
    instead."""

    def __init__(self, path: Path, label: str, data: Any, problems: list[str]) -> None:
        self._path, self._label, self._problems = path, label, problems
        self.data: Mapping[str, Any] = data if isinstance(data, dict) else {}
        self._is_table = isinstance(data, dict)
        if not self._is_table:
            problems.append(f"{path}: {label}: should be an object")

    def check(self, known: frozenset[str]) -> None:
        """Note the keys that are unknown."""
        for key in self.data:
            if key not in known:
                self.note(key, f"unknown key{nearest(key, known)}")

    def take(self, key: str, kind: type, default: Any = _NEEDED, *, nullable: bool = False) -> Any:
        """The value of a key, or its default; a key without one is needed."""
        if key not in self.data:
            if default is _NEEDED and self._is_table:
                self.note(key, "is missing")
            return kind() if default is _NEEDED else default
        value = self.data[key]
        if isinstance(value, kind) or (nullable and value is None):
            return value
        self.note(key, f"should be {_JSON_NAMES[kind]}, not {value!r}")
        return kind()

    def note(self, key: str, problem: str) -> None:
        """Note what is wrong with a key."""
        self._problems.append(f"{self._path}: {f'{self._label}.{key}' if self._label else key}: {problem}")

    def named(self, key: str) -> str:
        """What an origin calls the key."""
        return key if key in self.data else f"{key} (its default)"
