"""The tokens that CTranslate2's own config.json and the model's generation_config.json give a meaning.

Made once at load, read by `engine.py`.
"""

from dataclasses import dataclass

from alcove.engines.ctranslate2.tables import Tables
from alcove.store.folder import ModelFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialTokens:
    """What begins and ends sequences."""

    ends: tuple[int, ...]
    """The library's ids that end an output."""
    start: int | None
    """The tokenizer's id of the decoder's first token, where the model has one."""
    start_is_prefix: bool
    """Whether the library has no start token of its own for the decoder and takes the prefix's first for it."""
    start_is_end: bool
    """Whether the decoder starts from a token that also ends an output (BART, M2M100)."""
    framing: frozenset[str]
    """Tokens that are no content of a source to the library."""
    added_bos: str | None
    """A token that the library itself puts before the source, as the tokenizer has done already."""
    added_eos: str | None
    """The same behind it."""

    def without_added(self, tokens: list[str]) -> list[str]:
        """A source without the special tokens that the library will add to it."""
        if self.added_bos is not None and tokens[:1] == [self.added_bos]:
            tokens = tokens[1:]
        if self.added_eos is not None and tokens[-1:] == [self.added_eos]:
            tokens = tokens[:-1]
        return tokens

    def are_all(self, source: list[str]) -> bool:
        """Whether a source has no content."""
        return self.framing.issuperset(source)


def special_tokens(folder: ModelFolder, tables: Tables, target: list[str]) -> SpecialTokens:
    """Those of `folder`; `target` is the library's target vocabulary. What the folder does not say of its own is
    CTranslate2's default (`</s>`)."""
    config = folder.config
    numbers = {token: number for number, token in enumerate(target)}
    eos = config.get("eos_token") or "</s>"
    ends = [number for token in folder.generation.eos if (number := tables.target.library_id(token)) is not None]
    if not ends and eos in numbers:
        ends = [numbers[eos]]
    first = config.get("decoder_start_token", "<s>")
    start = folder.generation.decoder_start
    if start is None and first in numbers:
        start = tables.target.tokenizer_id_of(first)
    seq2seq = folder.kind == "seq2seq"
    bos = config.get("bos_token", "<s>")
    return SpecialTokens(
        ends=tuple(dict.fromkeys(ends)),
        start=start if seq2seq else None,
        start_is_prefix=seq2seq and first is None,
        # Marian's start token stands for a vector of zeros, whatever its name
        start_is_end=seq2seq and folder.model_type != "marian" and numbers.get(first) in ends,
        framing=frozenset({bos, eos}),
        added_bos=bos if config.get("add_source_bos") else None,
        added_eos=eos if config.get("add_source_eos") else None,
    )
