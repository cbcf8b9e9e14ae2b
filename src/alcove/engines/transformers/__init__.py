"""The transformers engine: encoder-decoder and causal models in `generate`, with torch, on CPU or CUDA.

A folder in transformers' layout goes in, a `BatchEngine` comes out; called by `engines/registry.py`. torch and
transformers come with the extra `alcove[transformers]` and are imported at the first load only.
"""

import importlib

from alcove.config.settings import ModelSettings
from alcove.engines.base import BatchEngine, Vocabulary
from alcove.errors import ModelLoadError
from alcove.store.folder import ModelFolder


def load(folder: ModelFolder, settings: ModelSettings, vocabulary: Vocabulary) -> BatchEngine:
    """The folder's model, ready for runs. Blocks for as long as the weights take to read.

    Of `vocabulary` only the size is looked at: the ids of transformers' tokenizers are those of the model. Raises
    `ModelLoadError`.
    """
    for package in ("torch", "transformers"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ModelLoadError(
                f"model '{settings.name}': {folder.path} needs {package}, which is not installed: "
                "pip install 'alcove[transformers]'"
            ) from error
    from alcove.engines.transformers.engine import TransformersEngine
    from alcove.engines.transformers.loading import load_model
    from alcove.engines.transformers.threads import workers_and_threads
    from alcove.engines.transformers.trial import try_out

    model = load_model(folder, settings)
    workers, threads = workers_and_threads(settings, model)
    engine = TransformersEngine(model, folder, threads=threads, workers=workers)
    try_out(engine, folder, vocabulary)
    return engine
