"""Environment variables and command-line flags -> Layers, by one rule.

A variable is `ALCOVE_` and the name of a field of `ServerSettings`, `AuthSettings` or `ModelSettings` in capitals:
`ALCOVE_PORT`, `ALCOVE_LOG_LEVEL`, `ALCOVE_INSECURE_NO_AUTH`, `ALCOVE_DEVICE`. A flag is the same name, `--port`.
A field of a model holds for every model served. Lists are separated by commas; an empty variable counts as unset.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

from pydantic import TypeAdapter, ValidationError

from alcove.config.layers import MADE, Entry, Layer, Location, Origin
from alcove.config.problems import nearest, noting
from alcove.config.settings import AuthSettings, ModelSettings, ServerSettings, Settings
from alcove.config.validation import in_words
from alcove.errors import ConfigurationError

PREFIX = "ALCOVE_"
OTHERS = frozenset({"ALCOVE_CONFIG", "ALCOVE_API_KEYS", "ALCOVE_ADMIN_KEYS"})
"""Variables of ours that are not a field: the WHAT of `alcove serve`, and the keys."""

EVERY_MODEL = "every model"
"""Stands for a model's index where a value holds for all of them."""

_OF_ONE_MODEL = {"name", "source", "revision", "aliases", "default", "prompt", "generation", "engine_options"}

FIELDS: Mapping[str, tuple[Location, Any]] = {
    "home": (("home",), Settings.model_fields["home"]),
    **{name: (("server", name), field) for name, field in ServerSettings.model_fields.items()},
    **{name: (("auth", name), field) for name, field in AuthSettings.model_fields.items() if name not in MADE},
    **{
        name: (("models", EVERY_MODEL, name), field)
        for name, field in ModelSettings.model_fields.items()
        if name not in _OF_ONE_MODEL
    },
}
"""Every field that a variable or a flag can set: its place in `Settings`, and its pydantic field."""

_KUBERNETES = re.compile(r"ALCOVE_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP)(_\w+)?))$")
"""What Kubernetes sets in every container of a namespace that has a service named `alcove` or `alcove-...`; it also
sets `ALCOVE_PORT=tcp://...` (kubernetes.io, "Accessing the Service": environment variables)."""

_OTLP, _OTLP_TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_LOG_LEVELS = {"DEBUG": "debug", "INFO": "info", "WARNING": "warning", "ERROR": "error", "CRITICAL": "error"}


def from_environment(environ: Mapping[str, str]) -> Layer:
    """What the environment says: our variables, `LOGGING_LEVEL` (ctranslate2-fastapi's), `XDG_DATA_HOME`,
    OpenTelemetry's.

    Unknown `ALCOVE_` variables and values of the wrong type are among the layer's problems.
    """
    entries: dict[Location, Entry] = {}
    warnings: list[str] = []
    problems: list[str] = []
    if data := environ.get("XDG_DATA_HOME"):
        entries["home",] = Entry(str(Path(data) / "alcove"), Origin("environment", "XDG_DATA_HOME"))
    if level := environ.get("LOGGING_LEVEL"):
        if level.upper() in _LOG_LEVELS:
            entries["server", "log_level"] = Entry(_LOG_LEVELS[level.upper()], Origin("environment", "LOGGING_LEVEL"))
        else:
            warnings.append(f"environment: LOGGING_LEVEL: {level!r} is none of {', '.join(_LOG_LEVELS)}; ignored")
    entries |= _traces(environ)
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable in OTHERS or not text or _of_kubernetes(variable, text):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in FIELDS:
            known = [PREFIX + field.upper() for field in FIELDS]
            problems.append(f"environment: {variable}: unknown variable{nearest(variable, [*known, *OTHERS])}")
            continue
        location, field = FIELDS[name]
        origin = Origin("environment", variable)
        with noting(problems):
            entries[location] = Entry(_parsed(text, field.annotation, origin), origin)
    return Layer(source="environment", entries=entries, warnings=tuple(warnings), problems=tuple(problems))


def _traces(environ: Mapping[str, str]) -> dict[Location, Entry]:
    """Where OpenTelemetry's own variables send traces (opentelemetry.io, "OTLP Exporter Configuration")."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return {}
    for variable, path in ((_OTLP_TRACES, ""), (_OTLP, "/v1/traces")):
        if endpoint := environ.get(variable):
            url = endpoint.rstrip("/") + path if path else endpoint
            return {("server", "otel_endpoint"): Entry(url, Origin("environment", variable))}
    return {}


def from_flags(flags: Mapping[str, Any]) -> Layer:
    """What the command line says: values by field name; None is a flag that was not given."""
    return Layer(
        source="flag",
        entries={
            FIELDS[name][0]: Entry(value, Origin("flag", "--" + name.replace("_", "-")))
            for name, value in flags.items()
            if value is not None
        },
    )


def as_environment(flags: Mapping[str, Any]) -> dict[str, str]:
    """The same flags as variables, for a child process that reads its settings from the environment."""
    return {PREFIX + name.upper(): str(value) for name, value in flags.items() if value is not None}


def _parsed(text: str, annotation: Any, origin: Origin) -> Any:
    try:
        if get_origin(annotation) is tuple:
            return [part.strip() for part in text.split(",") if part.strip()]
        value = TypeAdapter(annotation).validate_strings(text)
        return str(value) if isinstance(value, Path) else value
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ConfigurationError(f"{origin}: {in_words(fault, f', not {text!r}')}") from None


def _of_kubernetes(variable: str, text: str) -> bool:
    return bool(_KUBERNETES.match(variable)) or (variable.endswith("_PORT") and text.startswith(("tcp://", "udp://")))
