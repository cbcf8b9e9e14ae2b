"""Conversion of a transformers folder to CTranslate2's layout, complete enough to be served alone.

Called by `store/pull.py` and `store/converted.py`, and by the tool that makes the built-in models.
"""

import json
import shutil
import tempfile
from pathlib import Path

from alcove.errors import ModelLoadError
from alcove.store.convertible import QUANTIZATION, check_quantization, why_not_family
from alcove.store.folder import ModelFolder
from alcove.store.generation import FILE as GENERATION_FILE
from alcove.store.generation import own_wishes
from alcove.store.progress import Silent, Watcher
from alcove.store.recognise import recognise
from alcove.store.tokenizers import FILE as TOKENIZER_FILE
from alcove.store.tokenizers import needs_transformers, tokenizer_json

BESIDE = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"),
    *("merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "source.spm", "target.spm"),
    *("chat_template.jinja", "chat_template.json", GENERATION_FILE, "LICENSE", "README.md"),
)
"""Files that go along, where the source has them."""


class NotConvertible(ModelLoadError):
    """CTranslate2 cannot have this model; transformers can."""


def convert(source: Path, target: Path, quantization: str = QUANTIZATION, watcher: Watcher | None = None) -> None:
    """Write the model of the transformers folder `source` into the new folder `target`.

    `quantization` is CTranslate2's: `int8`, `int8_float32`, `float16`, `bfloat16`, `float32`... The folder appears
    only when it is complete, and its first token is that of transformers (see `store/witness.py`). Raises
    `NotConvertible` when the model cannot be converted, and `ModelLoadError` when something else is in the way: the
    extra that is not installed, a target that exists, a full disk.
    """
    folder = recognise(source)
    if folder.layout != "transformers":
        raise ModelLoadError(f"{source} is in CTranslate2's layout already: serve it as it is")
    check_quantization(quantization)
    if target.exists():
        raise ModelLoadError(f"{target} exists already: remove it or choose another folder")
    if (reason := why_not_family(folder.model_type)) is not None:
        raise _refusal(folder, reason)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(
            prefix=f".{target.name}-", dir=target.parent, ignore_cleanup_errors=True
        ) as workshop,
        (watcher or Silent()).part(f"Converting to {quantization}"),
    ):
        made = Path(workshop) / "model"
        try:
            _convert_weights(folder, made, quantization)
            _copy_beside(folder, made)
            made.rename(target)
        except OSError as error:
            raise ModelLoadError(f"{target} cannot be written: {error.strerror or error}") from None


def _convert_weights(folder: ModelFolder, made: Path, quantization: str) -> None:
    try:
        import torch  # noqa: F401  # without it the converter would fail only when it has begun

        from alcove.store.converter import RepairedConverter
    except ImportError as error:
        raise ModelLoadError(
            f"{error.name} is needed to convert {folder.path}: pip install 'alcove[convert]'"
        ) from None
    try:
        converter = RepairedConverter(str(folder.path))
        converter.convert(str(made), quantization=quantization)
        objection = converter.witness.objection(made, converter.tokens, quantization)
    except Exception as error:  # the converter raises whatever the model provokes
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's fault; what transformers finds missing has no number
        raise _refusal(folder, " ".join(str(error).split())) from error
    if objection is not None:
        raise _refusal(folder, objection)


def _refusal(folder: ModelFolder, reason: str) -> NotConvertible:
    return NotConvertible(
        f'{folder.path} cannot be converted to CTranslate2: {reason}; serve it with engine = "transformers"'
    )


def _copy_beside(folder: ModelFolder, made: Path) -> None:
    for name in BESIDE:
        if (folder.path / name).exists():
            shutil.copyfile(folder.path / name, made / name)
    if not (made / GENERATION_FILE).exists() and (wishes := own_wishes(folder.config)):
        # An older model has them in its config.json, whose place CTranslate2's own takes.
        (made / GENERATION_FILE).write_text(json.dumps(wishes, indent=2) + "\n", encoding="utf-8")
    if needs_transformers(folder.path, folder.model_type):
        (made / TOKENIZER_FILE).write_text(tokenizer_json(folder.path, {}), encoding="utf-8")
