"""Tokenizer formats that only transformers can read, converted to the text of a tokenizer.json.

In goes a folder, out comes JSON for `tokenizers.Tokenizer.from_str`. Called by `pipeline/tokenizer.py` for folders
without a tokenizer.json that the base install cannot read, and by pulls and conversions, which write it beside the
model; the only place where transformers makes a tokenizer.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alcove.errors import ModelLoadError
from alcove.store.jsonfile import read_object

FILE = "tokenizer.json"
_SLOW = ("sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "spm.model", "vocab.txt", "tiktoken.model")
"""Vocabularies of which transformers' classes make a tokenizer."""
_READ_HERE = {"source.spm": (), "vocab.json": ("M2M100Tokenizer",), "spiece.model": ("T5Tokenizer",)}
"""What `pipeline/tokenizers` reads by itself: a file, and the classes for which it does (none: for all)."""
_CLASSES = {"t5": "T5Tokenizer", "mt5": "T5Tokenizer", "m2m_100": "M2M100Tokenizer"}
"""The classes of families, where a folder names none."""


def tokenizer_json(folder: Path, keywords: Mapping[str, Any]) -> str:
    """The folder's tokenizer, made by transformers with these keywords of `from_pretrained`. Raises `ModelLoadError`
    when transformers is not installed or cannot read the folder either."""
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise ModelLoadError(
            f"{folder}: has no tokenizer.json, and its tokenizer's own format needs transformers; "
            "pip install 'alcove[transformers]', or save a tokenizer.json into the folder."
        ) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, **{**keywords, "local_files_only": True, "trust_remote_code": False}
        )
        text: str = tokenizer.backend_tokenizer.to_str()
    except Exception as error:
        raise ModelLoadError(
            f"{folder}: transformers cannot read its tokenizer ({type(error).__name__}: {error}); "
            "save a tokenizer.json into the folder."
        ) from error
    return text


def needs_transformers(folder: Path, model_type: str | None) -> bool:
    """Whether the folder's tokenizer is in a format that the base install cannot read."""
    if (folder / FILE).exists() or not any((folder / name).exists() for name in _SLOW):
        return False
    config = folder / "tokenizer_config.json"
    named = read_object(config).get("tokenizer_class") if config.exists() else None
    named = str(named or _CLASSES.get(model_type or "", "")).removesuffix("Fast")
    return not any((folder / file).exists() and named in (classes or (named,)) for file, classes in _READ_HERE.items())
