"""Languages that stand in the text: multilingual OPUS-MT models, which want `>>fra<<` before it.

In goes a request's target language, or a text that begins with one, out come the source's ids. Made by
`languages.py`.
"""

import re
from collections.abc import Iterable

from alcove.errors import InvalidRequest
from alcove.pipeline.tokenizer import Tokenizer
from alcove.pipeline.tokenizers.language_codes import missing, unknown

TOKEN = re.compile(r">>(.+?)<<")


class PrefixLanguages:
    """The target languages of one model."""

    def __init__(self, tokenizer: Tokenizer, codes: Iterable[str]) -> None:
        self._tokenizer = tokenizer
        self.codes = tuple(sorted(codes))
        """All target languages, in the model's own codes."""
        self.target_in_source = True

    def encode(self, text: str, source_lang: str | None = None, target_lang: str | None = None) -> tuple[int, ...]:
        """Ids of a source text, the target language before it unless the text names it. Raises `InvalidRequest`."""
        if source_lang is not None:
            raise InvalidRequest("This model finds out the language of the text by itself.", param="source_lang")
        written = match[1] if (match := TOKEN.match(text)) else None
        code = target_lang or written
        if code is None:
            raise missing(self.codes, "target_lang")
        if code not in self.codes:
            raise unknown(code, self.codes, "target_lang")
        if written is not None and written != code:
            raise InvalidRequest(
                f"target_lang is {code}, but the text begins with >>{written}<<; leave one of them out.",
                param="target_lang",
            )
        return self._tokenizer.encode(text if written else f">>{code}<< {text}")

    def target_id(self, target_lang: str | None = None, *, default: int | None = None) -> int | None:
        """What the model's own defaults force; the language is in the source."""
        return default
