"""Which engine runs a folder, and how it is opened. Engines are imported only when a model needs them."""

from contextlib import suppress
from importlib import import_module

from alcove.config.settings import ModelSettings
from alcove.engines.base import BatchEngine, PartialEngine, Vocabulary
from alcove.errors import ModelLoadError
from alcove.store.folder import ModelFolder


def open_engine(folder: ModelFolder, settings: ModelSettings, vocabulary: Vocabulary) -> BatchEngine:
    """An engine with the folder's model in it; raises `ModelLoadError` when it cannot be loaded, or when the engine
    that is asked for does not read this folder."""
    if settings.engine not in ("auto", folder.layout):
        raise ModelLoadError(
            f"model '{settings.name}': {folder.path} holds a {folder.layout} model, which the engine "
            f"{settings.engine} does not read"
        )
    match folder.layout:
        case "ctranslate2":
            from alcove.engines import ctranslate2

            return ctranslate2.load(folder, settings, vocabulary)
        case "transformers":
            from alcove.engines import transformers

            return transformers.load(folder, settings, vocabulary)
        case "echo":
            from alcove.engines import echo

            return echo.load(settings)


def import_engine(folder: ModelFolder) -> None:
    """Import what runs the folder's model, and hold the interpreter for as long as that takes: torch's import stops
    everything else for seconds. A library that is missing is found out when the model is loaded."""
    with suppress(ImportError):
        match folder.layout:
            case "ctranslate2":
                import_module("alcove.engines.ctranslate2")
            case "transformers":
                import_module("alcove.engines.transformers.engine")
                import_module("alcove.engines.transformers.loading").import_class(folder)
            case "echo":
                pass


def open_beside(engine: BatchEngine, folder: ModelFolder, settings: ModelSettings) -> PartialEngine | None:
    """An engine beside that of the closed batches, on the same weights, where the settings ask for one and the model
    can have it. Raises `ModelLoadError` where it never could."""
    if folder.layout != "transformers" or not settings.engine_options.get("continuous_batching"):
        return None
    from alcove.engines.transformers.continuous import open_continuous
    from alcove.engines.transformers.engine import TransformersEngine

    assert isinstance(engine, TransformersEngine), "the folder's layout has chosen the engine"
    return open_continuous(engine, folder, settings)
