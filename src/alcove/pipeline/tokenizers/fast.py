"""Tokenizers of the `tokenizers` library, most often a folder's tokenizer.json.

In go a `tokenizers.Tokenizer` and what the folder's other files say, out comes alcove's `Tokenizer`. Made by
`pipeline/tokenizer.py`, which also lists where such a tokenizer may come from.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import tokenizers
from tokenizers import processors

from alcove.pipeline.text.cleanup import CleanUp, clean_up
from alcove.pipeline.text.detokenize import ByteDetokenizer, Detokenizer, WindowDetokenizer
from alcove.pipeline.tokenizers.decoding import Decoding, Through
from alcove.pipeline.tokenizers.files import TokenizerFiles
from alcove.pipeline.tokenizers.input import unicode_text
from alcove.pipeline.tokenizers.token_bytes import TokenBytes

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")

_WORDS = 1_000
"""Words whose ids the library keeps, for each thread that encodes. Its own 10,000 come to 20 MB a thread when clients
send words that nobody says; fewer cost 0.4 us a token at the most, measured on code and English of 70,000 words."""


class FastTokenizer:
    """A `tokenizers.Tokenizer` as the pipeline wants it; both sides of the model share it."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, files: TokenizerFiles, decoding: Decoding) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        if hasattr(tokenizer.model, "_resize_cache"):  # those that split words: BPE and Unigram
            tokenizer.model._resize_cache(_WORDS)
        _complete(tokenizer, files)
        self.files = files
        self._tokenizer = tokenizer
        # transformers ignores the clean-up for pairs of letters or bytes, where it would take blanks away.
        self._clean_up = decoding.clean_up and type(tokenizer.model).__name__ != "BPE"
        self._skip_special = decoding.skip_special
        table = tokenizer.get_vocab(with_added_tokens=True)
        strings: list[str | None] = [None] * (max(table.values(), default=-1) + 1)
        for token, i in table.items():
            strings[i] = token
        self.source_tokens = self.target_tokens = tuple(strings)
        self.special_ids = frozenset(i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special)
        self.bos_id, self.eos_id, self.pad_id = (
            table.get(files.special_text(name) or "") for name in ("bos_token", "eos_token", "pad_token")
        )
        self._decoders = _decoder_types(json.loads(tokenizer.decoder.__getstate__())) if tokenizer.decoder else ()
        falls_back = "ByteFallback" in self._decoders
        self._byte_ids = frozenset(i for i, token in enumerate(strings) if falls_back and _BYTE.fullmatch(token or ""))
        self._token_bytes = TokenBytes(
            self._raw,
            self.target_tokens,
            whole=self.special_ids,
            bytes_of=self._bytes_of if self._decoders == ("ByteLevel",) else None,
            byte_ids=self._byte_ids,
        )

    def encode(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """Ids of a text, with the tokens around it that the tokenizer's own post-processor adds."""
        # As a batch of one, which is quicker, for it has no offsets, and lets other Python threads run meanwhile: a
        # single text of 2 MB would hold all of them up for a second.
        (encoding,) = self._tokenizer.encode_batch_fast([unicode_text(text)], add_special_tokens=special)
        return tuple(encoding.ids)

    def encode_target(self, text: str) -> tuple[int, ...]:
        """Ids of a text without special tokens."""
        return self.encode(text, special=False)

    def decode(self, ids: Sequence[int], *, skip_special: bool | None = None) -> str:
        """The text of ids; `skip_special` None does as the settings say."""
        skip = self._skip_special if skip_special is None else skip_special
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=skip)
        return clean_up(text) if self._clean_up else text

    def stream(self, *, skip_special: bool | None = None) -> Detokenizer:
        """A machine from ids to text that gives what `decode` gives."""
        skip = self._skip_special if skip_special is None else skip_special
        detokenizer: Detokenizer
        if self._decoders == ("ByteLevel",):
            detokenizer = ByteDetokenizer(lambda i: b"" if self._hidden(i, skip) else self._bytes_of(i))
        else:
            detokenizer = WindowDetokenizer(self._raw, skips=lambda i: self._hidden(i, skip), open_ended=self._byte_ids)
        return Through(detokenizer, CleanUp()) if self._clean_up else detokenizer

    def token_bytes(self, token: int) -> bytes:
        """What an id alone stands for within a text."""
        return self._token_bytes(token)

    def _raw(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    def _hidden(self, token: int, skip_special: bool) -> bool:
        """Whether texts do not show the token."""
        known = 0 <= token < len(self.target_tokens) and self.target_tokens[token] is not None
        return not known or (skip_special and token in self.special_ids)

    def _bytes_of(self, token: int) -> bytes:
        """A token of a byte-level vocabulary."""
        string = self.target_tokens[token] or ""
        try:
            return bytes(map(_BYTES.__getitem__, string))
        except KeyError:
            return string.encode()


def _byte_letters() -> dict[str, int]:
    """The letters that stand for bytes in byte-level vocabularies: printable bytes stand for themselves, the others,
    in order, are the letters from 256 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTES = _byte_letters()


def _decoder_types(decoder: dict[str, Any]) -> tuple[str, ...]:
    return tuple(t for part in decoder.get("decoders", ()) for t in _decoder_types(part)) or (decoder["type"],)


def _complete(tokenizer: tokenizers.Tokenizer, files: TokenizerFiles) -> None:
    """Lay tokenizer_config.json over the tokenizer, as transformers does when it loads a folder."""
    present = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
    tokenizer.add_tokens([token for _, token in sorted(files.added.items()) if token.content not in present])
    tokenizer.add_special_tokens([present.get(t.content, t) for t in (*files.special.values(), *files.extra)])
    if "add_prefix_space" in files.config:
        _set_prefix_space(tokenizer, bool(files.config["add_prefix_space"]))
    asked = {"add_bos_token", "add_eos_token"}
    # A tokenizer.json says itself what stands around a text; only keywords of the settings come before it.
    if asked & (files.overrides if files.find("tokenizer.json") else set(files.config)):
        bos, eos = (
            files.special_text(name) if files.config.get(f"add_{name}") else None for name in ("bos_token", "eos_token")
        )
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[token for token in (bos, "$A", eos) if token],
            special_tokens=[(token, tokenizer.token_to_id(token)) for token in {bos, eos} if token],
        )


def _set_prefix_space(tokenizer: tokenizers.Tokenizer, wanted: bool) -> None:
    """Byte-level tokenizers only: whether a text is read as if a blank stood before it."""
    if type(tokenizer.pre_tokenizer).__name__ == "ByteLevel":
        tokenizer.pre_tokenizer.add_prefix_space = wanted
