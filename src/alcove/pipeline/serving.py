"""The engine that serves a model, whole: its closed batches behind the batcher, and what goes beside them.

Opened by `pipeline/model.py`, or in a process of its own by `pipeline/isolated/child.py`.
"""

from alcove.config.settings import ModelSettings
from alcove.engines.base import Engine, Vocabulary
from alcove.engines.faults import fault_of
from alcove.engines.registry import open_beside, open_engine
from alcove.errors import ModelLoadError
from alcove.metrics.series import Histogram
from alcove.pipeline.batcher import Batcher
from alcove.pipeline.cores import Cores
from alcove.pipeline.routed import Routed
from alcove.store.folder import ModelFolder


def open_serving(
    folder: ModelFolder,
    settings: ModelSettings,
    vocabulary: Vocabulary,
    cores: Cores,
    sizes: Histogram | None = None,
) -> Engine:
    """Load the folder's model; `sizes` counts those of its batches. Blocks; raises `ModelLoadError` or
    `ConfigurationError`."""
    try:
        engine = open_engine(folder, settings, vocabulary)
        beside = open_beside(engine, folder, settings)
    except Exception as error:
        fault = fault_of(error)
        if fault is None or fault.kind != "memory":
            raise
        raise ModelLoadError(
            f"model '{settings.name}': there is not enough memory to load {folder.path}: free some, or take a smaller "
            "model or compute_type"
        ) from error
    batcher = Batcher(
        engine,
        cores,
        max_queue=settings.max_queue,
        max_batch_size=settings.max_batch_size,
        max_batch_tokens=settings.max_batch_tokens,
        sizes=sizes,
    )
    return batcher if beside is None else Routed(beside, batcher)
