"""From token ids and their log-probabilities to what a person reads. Used by `pipeline/output.py`."""

from collections.abc import Sequence

from alcove.jobs import TokenText
from alcove.pipeline.tokenizer import Tokenizer
from alcove.runs import TokenLogprob


class TokenTexts:
    """Tokens of one model."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def one(self, token: int, known: TokenLogprob | None, top: int, offset: int = 0) -> TokenText:
        """A token and what is known of it, with at most `top` of the alternatives."""
        others = () if known is None else tuple(self._plain(other, value) for other, value in known.top[:top])
        return self._plain(token, None if known is None else known.logprob, others, offset)

    def given(
        self,
        tokens: Sequence[int],
        known: Sequence[TokenLogprob | None],
        top: int,
        *,
        offset: int = 0,
        skip_special: bool | None = None,
    ) -> tuple[TokenText, ...]:
        """The tokens of a text that begins at `offset`."""
        machine = self._tokenizer.stream(skip_special=skip_special)
        texts = []
        for token, one in zip(tokens, known, strict=True):
            texts.append(self.one(token, one, top, offset))
            offset += len(machine.feed((token,)))
        return tuple(texts)

    def _plain(self, token: int, logprob: float | None, top: tuple[TokenText, ...] = (), offset: int = 0) -> TokenText:
        content = self._tokenizer.token_bytes(token)
        return TokenText(token, content.decode(errors="replace"), content, logprob, top, offset)
