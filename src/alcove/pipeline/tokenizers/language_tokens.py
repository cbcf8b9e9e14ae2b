"""Languages that are tokens of their own: NLLB, M2M100, mBART and mBART-50.

In go a request's languages, out come the source's ids with the family's tokens around them and the id that the output
must begin with. Made by `languages.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from alcove.errors import InvalidRequest
from alcove.pipeline.tokenizer import Tokenizer
from alcove.pipeline.tokenizers.language_codes import Param, missing, unknown
from alcove.store.folder import ModelFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How a family of models marks languages."""

    token: re.Pattern[str]
    """What its language tokens look like; the group is the code."""
    source_first: bool
    """Whether the source's language stands before the text, the end of sequence after it; else both stand after it."""
    starts_decoder: bool = False
    """Whether the target is the decoder's start token, fixed by the model, rather than the first token it makes."""
    default: str
    """The source language where neither request nor folder names one."""


FAMILIES = {
    "nllb": Family(token=re.compile(r"([a-z]{3}_[A-Z][a-z]{3})"), source_first=True, default="eng_Latn"),
    "m2m100": Family(token=re.compile(r"__([a-z]{2,3})__"), source_first=True, default="en"),
    "mbart50": Family(token=re.compile(r"([a-z]{2}_[A-Z]{2})"), source_first=True, default="en_XX"),
    "mbart": Family(token=re.compile(r"([a-z]{2}_[A-Z]{2})"), source_first=False, starts_decoder=True, default="en_XX"),
}
"""By the name of their tokenizer class in transformers, in small letters."""


class TokenLanguages:
    """The languages of one model, by code."""

    target_in_source = False
    """The decoder makes the target's token first."""

    def __init__(self, folder: ModelFolder, tokenizer: Tokenizer, family: Family, ids: Mapping[str, int]) -> None:
        """`ids` has each language's token by its code."""
        config = tokenizer.files.config
        self._tokenizer = tokenizer
        self._ids = ids
        self._source_first = family.source_first and not config.get("legacy_behaviour")
        source = config.get("src_lang") or family.default
        self._source = source if source in ids else None
        self._target = config.get("tgt_lang") if config.get("tgt_lang") in ids else None
        self._start = folder.generation.decoder_start if family.starts_decoder else None

    @property
    def codes(self) -> tuple[str, ...]:
        """All languages, in the model's own codes, sorted."""
        return tuple(sorted(self._ids))

    def encode(self, text: str, source_lang: str | None = None, target_lang: str | None = None) -> tuple[int, ...]:
        """Ids of a source text in this language, or in the tokenizer's own; the target has no part in them. Raises
        `InvalidRequest`."""
        code = source_lang or self._source
        if code is None:
            raise missing(self._ids, "source_lang")
        language = self._id(code, "source_lang")
        ids = self._tokenizer.encode(text, special=False)
        end = () if self._tokenizer.eos_id is None else (self._tokenizer.eos_id,)
        return (language, *ids, *end) if self._source_first else (*ids, *end, language)

    def target_id(self, target_lang: str | None = None, *, default: int | None = None) -> int | None:
        """The id that the output must begin with; None when the decoder's start token is the language already.

        Without a request's language it is `default`, the first token that the model's own generation defaults force,
        or else the folder's `tgt_lang`. Raises `InvalidRequest` when there is none of these, or when the model cannot
        be told this language.
        """
        if self._start is not None and self._start in self._ids.values():
            if target_lang is not None and self._id(target_lang, "target_lang") != self._start:
                fixed = next(code for code, i in self._ids.items() if i == self._start)
                raise InvalidRequest(
                    f"This model translates into {fixed} only; leave target_lang out, or set it to {fixed}.",
                    param="target_lang",
                )
            return default
        if target_lang is None and default is not None:
            return default
        code = target_lang or self._target
        if code is None:
            raise missing(self._ids, "target_lang")
        return self._id(code, "target_lang")

    def _id(self, code: str, param: Param) -> int:
        if code not in self._ids:
            raise unknown(code, self._ids, param)
        return self._ids[code]
