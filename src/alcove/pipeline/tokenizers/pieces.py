"""Tokenizers made of SentencePiece files and a vocab.json, in the way of transformers' Python tokenizers.

In go the files of a Marian or M2M100 folder (`marian.py` and `m2m100.py` read them), out comes alcove's `Tokenizer`:
added tokens are split off first, SentencePiece cuts what lies between, vocab.json gives the ids.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken

from alcove.errors import ModelLoadError
from alcove.pipeline.text.cleanup import CleanUp, clean_up
from alcove.pipeline.text.detokenize import Detokenizer, WindowDetokenizer
from alcove.pipeline.text.strip import Strip
from alcove.pipeline.tokenizers.decoding import Decoding, Through
from alcove.pipeline.tokenizers.files import TokenizerFiles
from alcove.pipeline.tokenizers.input import unicode_text
from alcove.pipeline.tokenizers.token_bytes import TokenBytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a model: how text is cut into pieces, and which id each piece has."""

    model: sentencepiece.SentencePieceProcessor
    ids: Mapping[str, int]
    """Ids by token, added tokens among them."""

    def strings(self) -> tuple[str | None, ...]:
        """Tokens by id."""
        table: list[str | None] = [None] * (max(self.ids.values(), default=-1) + 1)
        for token, i in self.ids.items():
            table[i] = token
        return tuple(table)


class PieceTokenizer:
    """Two sides (for M2M100 the same twice), and the special tokens around and among their texts."""

    def __init__(
        self,
        files: TokenizerFiles,
        decoding: Decoding,
        *,
        source: Side,
        target: Side,
        added: Mapping[str, AddedToken],
        special: frozenset[str],
        prefix: tuple[int, ...],
        suffix: tuple[int, ...],
        head: Callable[[str], int] = lambda text: 0,
        blank_after_special: bool = False,
    ) -> None:
        """`added` are split off a text as whole tokens, `special` left out of decoded texts; `prefix` and `suffix`
        stand around every source; `head(text)` tells how many of a text's first characters are one token of their
        own; `blank_after_special` is how a special token is written when it is kept."""
        self.files = files
        self._decoding = decoding
        self._source, self._target = source, target
        self._added, self._special = added, special
        self._prefix, self._suffix = prefix, suffix
        self._head = head
        self._after_special = " " if blank_after_special else ""
        longest_first = sorted(added, key=len, reverse=True)
        self._split = re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")
        self._unknown = source.ids[files.special_text("unk_token") or "<unk>"]
        self.source_tokens, self.target_tokens = source.strings(), target.strings()
        self.special_ids = frozenset(target.ids[token] for token in special if token in target.ids)
        self.bos_id, self.eos_id, self.pad_id = (
            target.ids.get(files.special_text(name) or "") for name in ("bos_token", "eos_token", "pad_token")
        )
        self._token_bytes = TokenBytes(self._raw, self.target_tokens, whole=self.special_ids)

    def encode(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """Ids of a source text."""
        ids = self._ids(text, self._source)
        return (*self._prefix, *ids, *self._suffix) if special else ids

    def encode_target(self, text: str) -> tuple[int, ...]:
        """Ids of a target text without special tokens."""
        return self._ids(text, self._target)

    def decode(self, ids: Sequence[int], *, skip_special: bool | None = None) -> str:
        """The text of target ids; `skip_special` None does as the settings say."""
        skip = self._decoding.skip_special if skip_special is None else skip_special
        text = self._raw([i for i in ids if not (skip and i in self.special_ids)]).strip()
        return clean_up(text) if self._decoding.clean_up else text

    def stream(self, *, skip_special: bool | None = None) -> Detokenizer:
        """A machine from ids to text that gives what `decode` gives."""
        skip = self._decoding.skip_special if skip_special is None else skip_special
        skipped = self.special_ids if skip else frozenset()
        stripped = Through(WindowDetokenizer(self._raw, skips=skipped.__contains__), Strip())
        return Through(stripped, CleanUp()) if self._decoding.clean_up else stripped

    def token_bytes(self, token: int) -> bytes:
        """What a target id alone stands for within a text."""
        return self._token_bytes(token)

    def _ids(self, text: str, side: Side) -> tuple[int, ...]:
        return tuple(side.ids.get(token, self._unknown) for token in self._tokens(unicode_text(text), side))

    def _tokens(self, text: str, side: Side) -> list[str]:
        parts = [part for part in self._split.split(text) if part]
        for at, part in enumerate(parts):
            token = self._added.get(part)
            if token and token.rstrip and at + 1 < len(parts):
                parts[at + 1] = parts[at + 1].lstrip()
            if token and token.lstrip and at > 0:
                parts[at - 1] = parts[at - 1].rstrip()
        tokens: list[str] = []
        for part in parts:
            if part in self._added:
                tokens.append(part)
            elif part:
                end = self._head(part)
                tokens += [part[:end]] if end else []
                tokens += side.model.encode(part[end:], out_type=str)
        return tokens

    def _raw(self, ids: Sequence[int]) -> str:
        """The text of ids with the blanks around it. SentencePiece joins the pieces between special tokens."""
        join: Callable[[list[str]], str] = self._target.model.decode_pieces
        text = ""
        pieces: list[str] = []
        for i in ids:
            token = self.target_tokens[i] if 0 <= i < len(self.target_tokens) else None
            if token in self._special:
                text += join(pieces) + token + self._after_special
                pieces = []
            elif token is not None:
                pieces.append(token)
        return (text + join(pieces)).replace("▁", " ")


def read_pieces(path: Path) -> sentencepiece.SentencePieceProcessor:
    """A SentencePiece model. Raises `ModelLoadError`."""
    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise ModelLoadError(f"{path}: not a SentencePiece model ({error}); fetch the model again.") from error
