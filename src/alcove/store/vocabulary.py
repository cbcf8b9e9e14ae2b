"""Whether a transformers folder's tables have a row for each token; for CTranslate2's see `ctranslate2_layout.py`.

Called by `store/staging.py` before a folder gets its name: a model and a tokenizer that do not belong together load
without a word, and answer nonsense.
"""

from pathlib import Path

from alcove.errors import ModelLoadError
from alcove.store.folder import ModelFolder
from alcove.store.jsonfile import read_object
from alcove.store.safetensors_header import read_header
from alcove.store.transformers_layout import weight_files

_TABLES = (
    *("shared.weight", "embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight"),
    "tok_embeddings.weight",
)
"""Ends of the names of the tables of input embeddings, as the families have them."""
_SIZES = ("vocab_size", "decoder_vocab_size")


def check_rows(folder: ModelFolder) -> None:
    """Compare the embeddings' rows with config.json, and the tokenizer's vocabulary with both. Raises `ModelLoadError`.

    Tokens that were added to a vocabulary may lie beyond the rows, as in many published models: no prompt can use them,
    and a request that names one is refused.
    """
    sizes = {folder.config[name] for name in _SIZES if isinstance(folder.config.get(name), int)}
    rows = _rows(folder.path)
    for name, number in rows.items():
        if sizes and number not in sizes:
            raise ModelLoadError(
                f"{folder.path / 'config.json'}: vocab_size is {folder.config.get('vocab_size')}, but {name} has "
                f"{number} rows: the files do not belong together, pull another revision"
            )
    most = max(rows.values(), default=None)
    highest = _highest_id(folder.path / "tokenizer.json")
    if most is not None and highest is not None and highest >= most:
        raise ModelLoadError(
            f"{folder.path / 'tokenizer.json'}: has a token {highest}, but the embeddings only {most} rows: the "
            "tokenizer is another model's, pull another revision"
        )


def _rows(folder: Path) -> dict[str, int]:
    return {
        name: tensor.shape[0]
        for file in weight_files(folder)
        for name, tensor in read_header(file).items()
        if name.endswith(_TABLES) and len(tensor.shape) == 2
    }


def _highest_id(path: Path) -> int | None:
    """The highest id of the vocabulary itself, without what was added to it."""
    if not path.is_file():
        return None
    vocabulary = (read_object(path).get("model") or {}).get("vocab")
    if isinstance(vocabulary, dict):
        return max((number for number in vocabulary.values() if isinstance(number, int)), default=None)
    return len(vocabulary) - 1 if isinstance(vocabulary, list) else None
