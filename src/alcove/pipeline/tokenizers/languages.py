"""Languages of multilingual translation models, in the model's own codes.

In goes a model's folder and tokenizer, out comes what its requests' `source_lang` and `target_lang` mean, or None for
a model without languages. Called by `pipeline/prepare.py`.
"""

from typing import Protocol

from alcove.pipeline.tokenizer import Tokenizer
from alcove.pipeline.tokenizers.language_prefix import TOKEN, PrefixLanguages
from alcove.pipeline.tokenizers.language_tokens import FAMILIES, TokenLanguages
from alcove.store.folder import ModelFolder


class Languages(Protocol):
    """The languages of one model."""

    @property
    def codes(self) -> tuple[str, ...]:
        """All languages, in the model's own codes, sorted."""

    @property
    def target_in_source(self) -> bool:
        """Whether the target language is written into the source, rather than made by the decoder first."""

    def encode(self, text: str, source_lang: str | None = None, target_lang: str | None = None) -> tuple[int, ...]:
        """Ids of a source text, languages and special tokens included. Raises `InvalidRequest`."""

    def target_id(self, target_lang: str | None = None, *, default: int | None = None) -> int | None:
        """The id that the output must begin with, if any; `default` is what the model's own generation defaults
        force. Raises `InvalidRequest`."""


def languages_of(folder: ModelFolder, tokenizer: Tokenizer) -> Languages | None:
    """The languages of this model; None when it has none to choose from, or marks them in a way of its own."""
    tokens = [token or "" for token in tokenizer.source_tokens]
    if folder.model_type in ("marian", None):
        codes = [match[1] for token in tokens if (match := TOKEN.fullmatch(token))]
        if len(codes) > 1:
            return PrefixLanguages(tokenizer, codes)
    name = _family(folder, tokenizer)
    if name is None:
        return None
    family = FAMILIES[name]
    found = ((family.token.fullmatch(token), i) for i, token in enumerate(tokens))
    ids = {match[1]: i for match, i in found if match}
    return TokenLanguages(folder, tokenizer, family, ids) if len(ids) > 1 else None


def _family(folder: ModelFolder, tokenizer: Tokenizer) -> str | None:
    named = str(tokenizer.files.config.get("tokenizer_class", "")).removesuffix("Fast").removesuffix("Tokenizer")
    if named.lower() in FAMILIES:
        return named.lower()
    if folder.model_type in ("mbart", "nllb-moe"):
        return {"mbart": "mbart", "nllb-moe": "nllb"}[folder.model_type]
    # NLLB's models are of M2M100's type; and a CTranslate2 folder may not tell a type at all.
    if folder.kind == "seq2seq" and folder.model_type in ("m2m_100", None):
        for name in ("nllb", "m2m100"):
            if sum(bool(FAMILIES[name].token.fullmatch(token or "")) for token in tokenizer.source_tokens) > 1:
                return name
    return None
