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


def model_options(name: str, settings: Options, own: Options, honoured: Capabilities) -> Options:
    """The options of requests that ask for nothing, complete: from the settings of model `name`, then its own file.

    Raises `ConfigurationError` when the settings ask for what the engine does not do.
    """
    for option in unsupported(settings, honoured):
        raise ConfigurationError(
            f"model '{name}': generation.{option} is not supported by the engine {honoured.engine}; "
            f"it takes {', '.join(honoured.options)}"
        )
    missing = unsupported(own, honoured)
    for option in missing:
        logger.warning(
            "Model '%s': its generation_config.json asks for %s, which the engine %s cannot do: left out",
            name, option, honoured.engine,
        )  # fmt: skip
    wishes: Mapping[str, Any] = {option: value for option, value in own.given().items() if option not in missing}
    return settings.over(Options.of(wishes)).over(DEFAULT_OPTIONS)


def run_options(asked: Options, profile: Options, model: Options, honoured: Capabilities) -> Options:
    """The complete options of a run. Raises `InvalidRequest` when the request asks for what the engine does not do."""
    for option in unsupported(asked, honoured):
        field = WIRE_NAMES.get(option, option)
        known = ", ".join(WIRE_NAMES.get(name, name) for name in honoured.options)
        raise InvalidRequest(
            f"'{field}' is not supported for this model by the engine {honoured.engine}; it takes {known}.",
            param=field,
            code="unsupported_parameter",
        )
    options = asked.over(profile).over(model)
    # what has no effect is set to its neutral value, so that equal runs look equal and may share a batch
    if options.temperature == 0:
        options = replace(options, top_p=1.0, top_k=0)
    if options.num_beams == 1:
        options = replace(options, length_penalty=1.0, early_stopping=False)
    return options
