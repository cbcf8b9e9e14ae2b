"""A folder in CTranslate2's layout: model.bin, CTranslate2's own config.json, vocabulary files.

`read_folder` is called by `store/recognise.py`, `read_vocabularies` also by the engine.
"""

from pathlib import Path
from typing import Any

from alcove.errors import ModelLoadError
from alcove.store.folder import Kind, ModelFolder
from alcove.store.generation import read_generation
from alcove.store.jsonfile import read_json, read_object
from alcove.store.modelbin import ModelBin, read_modelbin

KINDS: dict[str, Kind] = {
    "TransformerSpec": "seq2seq",
    "TransformerDecoderSpec": "causal",
}
"""CTranslate2's names of the models that can be served."""
FAMILIES = {
    "NllbTokenizer": "m2m_100",
    "M2M100Tokenizer": "m2m_100",
    "MBartTokenizer": "mbart",
    "MBart50Tokenizer": "mbart",
    "MarianTokenizer": "marian",
    "T5Tokenizer": "t5",
    "PegasusTokenizer": "pegasus",
    "BartTokenizer": "bart",
    "GPT2Tokenizer": "gpt2",
    "LlamaTokenizer": "llama",
    "Qwen2Tokenizer": "qwen2",
}
"""The model's family by its tokenizer's class, where CTranslate2's config.json does not name it."""
ROTARY_LIMIT = "max_position_embeddings"
"""Where alcove's conversion writes how many positions a model with rotary ones has (CTranslate2 knows no bound)."""
VOCABULARIES = ("shared_vocabulary", "source_vocabulary", "target_vocabulary")
"""Names of its files that no other layout has; a decoder-only model's is just `vocabulary`."""
TABLES = {"source": "encoder/embeddings_0/weight", "target": "decoder/embeddings/weight"}
"""The variables with one row for each token."""


def read_folder(path: Path) -> ModelFolder:
    """What the CTranslate2 model in `path` is. Raises `ModelLoadError`."""
    header = read_modelbin(path / "model.bin")
    kind = KINDS.get(header.spec)
    if kind is None:
        raise ModelLoadError(
            f"{path / 'model.bin'} holds a {header.spec}: served are {', '.join(KINDS)} (text to text models)"
        )
    config = read_object(path / "config.json")
    _check_vocabularies(path, kind, header)
    target = _positions(header, "decoder") or config.get(ROTARY_LIMIT)
    return ModelFolder(
        path=path,
        layout="ctranslate2",
        kind=kind,
        model_type=config.get("model_type") or _family(path),
        source_limit=_positions(header, "encoder") if kind == "seq2seq" else target,
        target_limit=target if kind == "seq2seq" else None,
        generation=read_generation(path, {}, kind),
        config=config,
    )


def has_vocabulary(path: Path) -> bool:
    """Whether `path` holds a vocabulary of an encoder-decoder in CTranslate2's layout."""
    return any((path / f"{name}.{kind}").exists() for name in VOCABULARIES for kind in ("json", "txt"))


def read_vocabularies(path: Path, kind: Kind) -> tuple[list[str], list[str]]:
    """The model's token strings by its own ids: the source's and the target's (twice the same list where shared).

    Raises `ModelLoadError` naming the missing file.
    """
    shared = "shared_vocabulary" if kind == "seq2seq" else "vocabulary"
    tokens = _read_vocabulary(path, shared)
    if tokens is not None:
        return tokens, tokens
    if kind == "seq2seq":
        source, target = _read_vocabulary(path, "source_vocabulary"), _read_vocabulary(path, "target_vocabulary")
        if source is not None and target is not None:
            return source, target
        if source is not None or target is not None:
            shared = "target_vocabulary" if target is None else "source_vocabulary"
    raise ModelLoadError(f"{path} has a model.bin but no {shared}.json or .txt: copy it from the model's source")


def _read_vocabulary(path: Path, name: str) -> list[str] | None:
    file = path / f"{name}.json"
    if file.exists():
        tokens: Any = read_json(file)
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ModelLoadError(f"{file} must hold a list of token strings: download or convert the model again")
        return tokens
    file = file.with_suffix(".txt")
    if not file.exists():
        return None
    lines = file.read_bytes().decode(errors="replace").removesuffix("\n").split("\n")
    # CTranslate2 takes carriage returns for line ends only when every line has one.
    return [line[:-1] for line in lines] if all(line.endswith("\r") for line in lines) else lines


def _check_vocabularies(path: Path, kind: Kind, header: ModelBin) -> None:
    """CTranslate2 itself notices a wrong length only when it makes a token that is out of range."""
    for (side, variable), tokens in zip(TABLES.items(), read_vocabularies(path, kind), strict=True):
        rows = header.shapes.get(variable, (len(tokens),))[0]
        if len(tokens) != rows:
            raise ModelLoadError(
                f"{path}: the {side} vocabulary has {len(tokens)} tokens, but model.bin {rows}: convert the model again"
            )


def _positions(header: ModelBin, side: str) -> int | None:
    shape = header.shapes.get(f"{side}/position_encodings/encodings")
    return shape[0] if shape else None


def _family(path: Path) -> str | None:
    file = path / "tokenizer_config.json"
    name = read_object(file).get("tokenizer_class") if file.exists() else None
    return FAMILIES.get(str(name).removesuffix("Fast"))
