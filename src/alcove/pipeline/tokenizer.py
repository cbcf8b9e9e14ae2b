"""What the pipeline needs of a tokenizer, and how one is found in a model folder.

In go a `ModelFolder` and its settings, out comes a `Tokenizer`: text to ids and back, the token strings for the
engine. Called by `pipeline/model.py`, once a model; a tokenizer is safe to use from several threads.
"""

from collections.abc import Sequence
from typing import Protocol

import tokenizers

from alcove.config.settings import ModelSettings
from alcove.errors import ConfigurationError, ModelLoadError
from alcove.pipeline.text.detokenize import Detokenizer
from alcove.pipeline.tokenizers import byte_level, m2m100, marian, spiece
from alcove.pipeline.tokenizers.classes import follow_class
from alcove.pipeline.tokenizers.decoding import read_decoding
from alcove.pipeline.tokenizers.fast import FastTokenizer
from alcove.pipeline.tokenizers.files import TokenizerFiles, read_files
from alcove.store.folder import ModelFolder
from alcove.store.tokenizers import tokenizer_json


class Tokenizer(Protocol):
    """Text to ids on the source side, ids to text on the target side."""

    files: TokenizerFiles
    """What the folder says beside the vocabulary."""
    source_tokens: tuple[str | None, ...]
    """Token strings by id, as `encode` gives them; a hole is None."""
    target_tokens: tuple[str | None, ...]
    """Token strings by id, as `decode` takes them: the same table for most models."""
    special_ids: frozenset[int]
    """Ids of special tokens, which `decode` leaves out."""
    bos_id: int | None
    eos_id: int | None
    pad_id: int | None

    def encode(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """Ids of a source text; `special` adds the tokens that the model's own tokenizer adds around a text."""

    def encode_target(self, text: str) -> tuple[int, ...]:
        """Ids of a text that the decoder shall go on from, without special tokens."""

    def decode(self, ids: Sequence[int], *, skip_special: bool | None = None) -> str:
        """The text of target ids; `skip_special` None does as the settings say, by default True."""

    def stream(self, *, skip_special: bool | None = None) -> Detokenizer:
        """A machine from target ids to text, piece by piece; the pieces join to what `decode` gives."""

    def token_bytes(self, token: int) -> bytes:
        """What a target id alone stands for within a text, exactly: a part of a letter where the vocabulary has bytes,
        the blank before a word where it belongs to its token; a special token's own string."""


_OTHERS = (
    "sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "spm.model", "vocab.json", "vocab.txt",
    "tiktoken.model", "tekken.json",
)  # fmt: skip
"""Files by which transformers' own tokenizer classes are recognised."""

_CLASSES = {
    "t5": "T5Tokenizer", "mt5": "T5Tokenizer", "bart": "BartTokenizer", "led": "LEDTokenizer", "gpt2": "GPT2Tokenizer",
    "gptj": "GPT2Tokenizer", "gpt_neo": "GPT2Tokenizer", "opt": "GPT2Tokenizer", "m2m_100": "M2M100Tokenizer",
}  # fmt: skip
"""Tokenizer classes of the families, for folders whose files name none."""


def load_tokenizer(folder: ModelFolder, settings: ModelSettings) -> Tokenizer:
    """The tokenizer of a model folder, its `tokenizer` and `decode` options honoured.

    Raises `ModelLoadError` for a folder without one, or with one that cannot be read; `ConfigurationError` for an
    option that alcove does not take.
    """
    keywords = _table(settings, "tokenizer")
    files = read_files(folder.path, keywords)
    decoding = read_decoding(_table(settings, "decode"), keywords)
    if path := files.find("tokenizer.json"):
        tokenizer = _parsed(path.read_bytes(), str(path))
        follow_class(tokenizer, files, folder.model_type)
        return FastTokenizer(tokenizer, files, decoding)
    if files.find("source.spm", "target.spm"):
        return marian.build(files, decoding)
    named = str(files.config.get("tokenizer_class") or _CLASSES.get(folder.model_type or "", ""))
    if named == "M2M100Tokenizer":
        return m2m100.build(files, decoding)
    if named.removesuffix("Fast") == "T5Tokenizer" and (path := files.find("spiece.model")):
        return FastTokenizer(*spiece.build_t5(files, path), decoding)
    if byte_level.can_build(files, named):
        return FastTokenizer(*byte_level.build(files, named), decoding)
    if files.find(*_OTHERS):
        return FastTokenizer(_parsed(tokenizer_json(files.path, keywords).encode(), str(files.path)), files, decoding)
    raise ModelLoadError(
        f"{files.path}: has no tokenizer; looked for tokenizer.json, source.spm, {', '.join(_OTHERS)}. "
        "Copy the tokenizer's files of the original model into the folder."
    )


def _parsed(content: bytes, source: str) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_buffer(content)
    except Exception as error:
        raise ModelLoadError(f"{source}: not a tokenizer that can be read ({error}); fetch the model again.") from error


def _table(settings: ModelSettings, name: str) -> dict[str, object]:
    value = settings.engine_options.get(name) or {}
    if not isinstance(value, dict):
        raise ConfigurationError(f"engine_options.{name}: must be a table of options, not {value!r}.")
    return value
