"""What a folder holds: a path goes in, a `ModelFolder` comes out, or one line that says why it cannot be served.

Called by the pool before a model is loaded and by `alcove check`. Reads configurations and headers, never weights.
"""

from pathlib import Path

from alcove.config.settings import TaskName
from alcove.errors import ModelLoadError
from alcove.store import ctranslate2_layout, transformers_layout
from alcove.store.folder import Kind, ModelFolder
from alcove.store.jsonfile import read_object
from alcove.store.manifest import check_sizes
from alcove.store.untrusted import refuse_untrusted


def recognise(path: Path, task: TaskName = "auto") -> ModelFolder:
    """Find out whose layout the folder `path` has, what kind of model it is and what its limits are.

    `task` is what the settings expect. Raises `ModelLoadError` for a folder that cannot be served, naming the file.
    """
    if not path.is_dir():
        if path.suffix == ".gguf":
            raise _no_gguf(path)
        raise ModelLoadError(f"{path} is not a folder: name one that holds a model")
    refuse_untrusted(path)
    check_sizes(path)
    folder = _read(path)
    if task not in ("auto", folder.kind):
        raise ModelLoadError(f'{path} holds a {folder.kind} model, but task = "{task}" is set: remove that setting')
    return folder


def _read(path: Path) -> ModelFolder:
    if (path / "model.bin").exists():
        return ctranslate2_layout.read_folder(path)
    if (path / "config.json").exists():
        config = read_object(path / "config.json")
        if config.get("model_type") == "echo":  # the shipped folder without weights
            kind: Kind = "seq2seq" if config.get("is_encoder_decoder") else "causal"
            limit = config["max_position_embeddings"]
            return ModelFolder(path=path, layout="echo", kind=kind, source_limit=limit, config=config)
        if ctranslate2_layout.has_vocabulary(path) and next(path.glob("*.safetensors"), None) is None:
            raise ModelLoadError(f"{path / 'model.bin'} is missing, though its vocabulary is there: download it again")
        return transformers_layout.read_folder(path)
    if next(path.glob("*.gguf"), None) is not None:
        raise _no_gguf(path)
    names = sorted(file.name for file in path.iterdir())
    if not names:
        raise ModelLoadError(f"{path} is empty: pull or copy a model into it")
    if any(name.endswith(".safetensors") for name in names) or transformers_layout.has_pickle(path):
        raise ModelLoadError(f"{path} has weights but no config.json: copy the model's config.json beside them")
    raise ModelLoadError(f"{path} holds no model: neither model.bin (CTranslate2) nor config.json (transformers)")


def _no_gguf(path: Path) -> ModelLoadError:
    return ModelLoadError(
        f"{path} is a GGUF model, which no engine here runs: take the original model in safetensors instead"
    )
