"""Tokenizer formats that only transformers can read, converted to the text of a tokenizer.json.

In goes a folder, out comes JSON for `tokenizers.Tokenizer.from_str`. Called by `pipeline/tokenizer.py` for folders
without a tokenizer.json that the base install cannot read, and the only place where transformers makes a tokenizer.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alcove.errors import ModelLoadError


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
