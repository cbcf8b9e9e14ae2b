"""Which generation options a run gets: what the request asks, else its profile, the model's settings, its own file.

What an engine does not honour is refused by name when a request or the settings ask for it, and left out with a
warning when only the model's own file does. Used by `pipeline/prepare.py`.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alcove.engines.base import Capabilities
from alcove.errors import ConfigurationError, InvalidRequest
from alcove.runs import DEFAULT_OPTIONS, Options

logger = logging.getLogger(__name__)

WIRE_NAMES = {"min_new_tokens": "min_tokens"}
"""Options that requests know by another name than the engines."""


def unsupported(options: Options, honoured: Capabilities) -> list[str]:
    """Names of the options that ask for something the engine does not do; neutral values ask for nothing."""
    return [
        name
        for name, value in options.given().items()
        if name not in honoured.options and value != getattr(DEFAULT_OPTIONS, name, None)
    ]


def impossible(options: Options, honoured: Capabilities) -> list[str]:
    """Names of the options that the engine honours, but not in the value that they have."""
    return [name for name, value in options.given().items() if value in honoured.impossible.get(name, ())]


def require(name: str, honoured: Capabilities, *, field: str) -> None:
    """Raise `InvalidRequest` for a request's field that needs something the engine does not do."""
    if name in honoured.options:
        return
    known = ", ".join(WIRE_NAMES.get(option, option) for option in honoured.options)
    raise InvalidRequest(
        f"'{field}' is not supported for this model by the engine {honoured.engine}; it takes {known}.",
        param=field,
        code="unsupported_parameter",
    )


def model_options(name: str, settings: Options, own: Options, honoured: Capabilities) -> Options:
    """The options of requests that ask for nothing, complete: from the settings of model `name`, then its own file.

    Raises `ConfigurationError` when the settings ask for what the engine does not do.
    """
    for option in unsupported(settings, honoured):
        raise ConfigurationError(
            f"model '{name}': generation.{option} is not supported by the engine {honoured.engine}; "
            f"it takes {', '.join(honoured.options)}"
        )
    for option in impossible(settings, honoured):
        raise ConfigurationError(
            f"model '{name}': generation.{option} is a value that the engine {honoured.engine} does not have: "
            f"{honoured.options[option]}"
        )
    missing = unsupported(own, honoured) + impossible(own, honoured)
    for option in missing:
        logger.warning(
            "Model '%s': its generation_config.json asks for %s, which the engine %s cannot do: left out",
            name, option, honoured.engine,
        )  # fmt: skip
    wishes = {option: value for option, value in own.given().items() if option not in missing}
    return _named(settings.given()).over(_named(wishes)).over(DEFAULT_OPTIONS)


def run_options(
    asked: Options, profile: Options, model: Options, honoured: Capabilities, names: Mapping[str, str] | None = None
) -> Options:
    """The complete options of a run; `names` are the request's own of what it calls otherwise. Raises `InvalidRequest`
    when the request asks for what the engine does not do."""
    for option in unsupported(asked, honoured):
        require(option, honoured, field={**WIRE_NAMES, **(names or {})}.get(option, option))
    options = asked.over(profile).over(model)
    # what has no effect is set to its neutral value, so that equal runs look equal and may share a batch
    if options.temperature == 0:
        options = replace(options, top_p=1.0, top_k=0, min_p=0.0, typical_p=1.0, seed=None)
    if options.num_beams == 1:
        options = replace(options, length_penalty=1.0, early_stopping=None)
    return options


def _named(values: Mapping[str, Any]) -> Options:
    """Options of a file, each in its own field: a file's reader leaves to `extra` what it does not look at."""
    words = values.get("bad_words_ids")
    return Options.of({**values, "bad_words_ids": tuple(map(tuple, words))} if words else values)
