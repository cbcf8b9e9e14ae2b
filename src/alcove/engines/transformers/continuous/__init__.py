"""Continuous batching beside the closed batches of a causal model, where `engine_options` ask for it.

The engine of the closed batches goes in, an `Engine` for a part of the runs comes out; called by `engines/registry.py`.
"""

import logging

from alcove.config.settings import ModelSettings
from alcove.engines.transformers.continuous.engine import ContinuousEngine
from alcove.engines.transformers.continuous.knobs import KEY, pages, read_knobs
from alcove.engines.transformers.continuous.trial import Unfit, try_out
from alcove.engines.transformers.engine import TransformersEngine
from alcove.errors import ModelLoadError
from alcove.store.folder import ModelFolder

logger = logging.getLogger(__name__)


def open_continuous(
    closed: TransformersEngine, folder: ModelFolder, settings: ModelSettings
) -> ContinuousEngine | None:
    """None where it is not asked for, or where this model cannot have it, which is one warning.

    Raises `ModelLoadError` for an encoder-decoder and for a table that cannot be read.
    """
    knobs = read_knobs(settings)
    if knobs is None:
        return None
    if folder.kind == "seq2seq":
        raise ModelLoadError(
            f"model '{settings.name}': engine_options.{KEY}: transformers has it for decoder-only models, and "
            f"{folder.model_type} is an encoder-decoder; leave the option out"
        )
    try:
        room = pages(closed.model, knobs, runs=settings.max_batch_size, positions=folder.source_limit)
        engine = ContinuousEngine(
            closed,
            pages=room,
            batch_tokens=knobs.max_batch_tokens,
            runs=min(settings.max_batch_size, knobs.max_batch_tokens),
            max_queue=settings.max_queue,
            threads=settings.threads,
        )
        try:
            try_out(engine, closed)
        except BaseException:
            engine.close()
            raise
    except Exception as error:  # noqa: BLE001  # a model that the library was not made for may break it in any way
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        hint = "" if isinstance(error, Unfit) else f"{type(error).__name__}: "
        logger.warning(
            "Model '%s': transformers cannot batch %s continuously (%s%s); closed batches it is",
            settings.name, folder.model_type, hint, reason,
        )  # fmt: skip
        return None
    return engine
