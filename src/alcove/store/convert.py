"""Conversion of a transformers folder to CTranslate2's layout, complete enough to be served alone.

Called by `alcove pull` and `alcove convert`, and by the tool that makes the built-in models.
"""

import json
import shutil
import tempfile
from pathlib import Path

from alcove.errors import ModelLoadError
from alcove.store.convertible import why_not_family
from alcove.store.folder import ModelFolder
from alcove.store.generation import FILE as GENERATION_FILE
from alcove.store.generation import own_wishes
from alcove.store.recognise import recognise

BESIDE = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"),
    *("merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "source.spm", "target.spm"),
    *("chat_template.jinja", "chat_template.json", GENERATION_FILE, "LICENSE", "README.md"),
)
"""Files that go along, where the source has them."""


def convert(source: Path, target: Path, quantization: str = "int8") -> None:
    """Write the model of the transformers folder `source` into the new folder `target`.

    `quantization` is CTranslate2's: `int8`, `int8_float32`, `float16`, `bfloat16`, `float32`... The folder appears
    only when it is complete. Raises `ModelLoadError` when the model cannot be converted or the extra is missing.
    """
    folder = recognise(source)
    if folder.layout != "transformers":
        raise ModelLoadError(f"{source} is in CTranslate2's layout already: serve it as it is")
    if target.exists():
        raise ModelLoadError(f"{target} exists already: remove it or choose another folder")
    if (reason := why_not_family(folder.model_type)) is not None:
        raise _refusal(folder, reason)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as workshop:
        made = Path(workshop) / "model"
        _convert_weights(folder, made, quantization)
        _copy_beside(folder, made)
        made.rename(target)


def _convert_weights(folder: ModelFolder, made: Path, quantization: str) -> None:
    try:
        import torch  # noqa: F401  # without it the converter would fail only when it has begun

        from alcove.store.converter import ACCEPTED_MODEL_TYPES, RepairedConverter
    except ImportError as error:
        raise ModelLoadError(
            f"{error.name} is needed to convert {folder.path}: pip install 'alcove[convert]'"
        ) from None
    if quantization not in ACCEPTED_MODEL_TYPES:
        raise ModelLoadError(f"quantization {quantization} is unknown: {', '.join(ACCEPTED_MODEL_TYPES)}")
    try:
        RepairedConverter(str(folder.path)).convert(str(made), quantization=quantization)
    except Exception as error:  # the converter raises whatever the model provokes
        raise _refusal(folder, " ".join(str(error).split())) from error


def _refusal(folder: ModelFolder, reason: str) -> ModelLoadError:
    return ModelLoadError(
        f'{folder.path} cannot be converted to CTranslate2: {reason}; serve it with engine = "transformers"'
    )


def _copy_beside(folder: ModelFolder, made: Path) -> None:
    for name in BESIDE:
        if (folder.path / name).exists():
            shutil.copyfile(folder.path / name, made / name)
    if not (made / GENERATION_FILE).exists() and (wishes := own_wishes(folder.config)):
        # An older model has them in its config.json, whose place CTranslate2's own takes.
        (made / GENERATION_FILE).write_text(json.dumps(wishes, indent=2) + "\n", encoding="utf-8")
