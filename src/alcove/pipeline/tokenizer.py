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
from alcove.pipeline.tokenizers.decoding import Decoding, read_decoding
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

    def stream(self) -> Detokenizer:
        """A machine from target ids to text, piece by piece; the pieces join to what `decode` gives."""


def load_tokenizer(folder: ModelFolder, settings: ModelSettings) -> Tokenizer:
    """The tokenizer of a model folder, its `tokenizer` and `decode` options honoured.

    Raises `ModelLoadError` for a folder without one, or with one that cannot be read; `ConfigurationError` for an
    option that alcove does not take.
    """
    keywords = _table(settings, "tokenizer")
    files = read_files(folder.path, keywords)
    decoding = read_decoding(_table(settings, "decode"))
    if path := files.find("tokenizer.json"):
        return _from_json(path.read_text(encoding="utf-8"), str(path), files, decoding)
    if files.find("source.spm", "target.spm"):
        return marian.build(files, decoding)
    named = str(files.config.get("tokenizer_class", ""))
    if named == "M2M100Tokenizer" or (folder.model_type == "m2m_100" and not named and files.find("vocab.json")):
        return m2m100.build(files, decoding)
    if (
        (kind := byte_level.class_of(files, folder.model_type))
        and files.find("vocab.json")
        and files.find("merges.txt")
    ):
        tokenizer, files = byte_level.build(files, kind)
        return FastTokenizer(tokenizer, files, decoding)
    if (named == "T5Tokenizer" or (folder.model_type in ("t5", "mt5") and not named)) and (
        path := files.find("spiece.model")
    ):
        tokenizer, files = spiece.build_t5(files, path)
        return FastTokenizer(tokenizer, files, decoding)
    if files.find(*_OTHERS):
        return _from_json(tokenizer_json(files.path, keywords), str(files.path), files, decoding)
    raise ModelLoadError(
        f"{files.path}: has no tokenizer; looked for tokenizer.json, source.spm, {', '.join(_OTHERS)}. "
        "Copy the tokenizer's files of the original model into the folder."
    )


_OTHERS = (
    "sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "spm.model", "vocab.json", "vocab.txt",
    "tiktoken.model", "tekken.json",
)  # fmt: skip
"""Files by which transformers' own tokenizer classes are recognised."""


def _from_json(text: str, source: str, files: TokenizerFiles, decoding: Decoding) -> Tokenizer:
    try:
        tokenizer = tokenizers.Tokenizer.from_str(text)
    except Exception as error:
        raise ModelLoadError(f"{source}: not a tokenizer that can be read ({error}); fetch the model again.") from error
    return FastTokenizer(tokenizer, files, decoding)


def _table(settings: ModelSettings, name: str) -> dict[str, object]:
    value = settings.engine_options.get(name) or {}
    if not isinstance(value, dict):
        raise ConfigurationError(f"engine_options.{name}: must be a table of options, not {value!r}.")
    return value
