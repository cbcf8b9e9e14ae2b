"""The text rules of ctranslate2-fastapi (profile `languagemodels`): tidies short answers of small models.

In goes the model's text, out comes what its clients are used to: no backticks, no blanks or quotes around, a one-word
completion as a sentence. Part of the chain in `chain.py` when a prompt asks for it.
"""

from typing import Literal

Rules = Literal["completion", "chat"]
"""For which endpoint: a chat loses a leading `Assistant:`, a one-word completion becomes `James.`"""

_LABEL = "Assistant:"
_QUOTE = '"'


class LanguageModelsText:
    """Backticks become apostrophes; blanks before the text are dropped, and so are a quote before it and then also one
    after it; further rules depend on the endpoint. Only the beginning and a last quote are ever held back."""

    def __init__(self, rules: Rules) -> None:
        self._label_pending = rules == "chat"
        self._word_pending = rules == "completion"
        """No second word has been seen."""
        self._head_pending = True
        self._quoted = False
        self._held = ""

    def feed(self, text: str) -> str:
        """Take further text; returns what is certain by now."""
        self._held += text.replace("`", "'")
        if not self._head_done(final=False):
            return ""
        inner = self._without_quote()
        if self._word_pending:
            if len(inner.split()) < 2:
                return ""
            self._word_pending = False
        self._held = self._held[len(inner) :]
        return inner

    def flush(self) -> str:
        """The rest; the quote at the end is dropped, a lone word becomes a sentence."""
        self._head_done(final=True)
        rest, self._held = self._without_quote(), ""
        if self._word_pending and len(rest.split()) == 1:
            rest = rest.rstrip().title()
            rest += "" if rest[-1] in ".!?" else "."
        return rest

    def _head_done(self, *, final: bool) -> bool:
        """Drop what the text must not begin with; False when more text is needed to tell."""
        if not self._head_pending:
            return True
        self._held = self._held.lstrip()
        if self._label_pending:
            if not final and _LABEL.startswith(self._held):
                self._label_pending = self._held != _LABEL
                self._held = self._held if self._label_pending else ""
                return False
            self._held = self._held.removeprefix(_LABEL).lstrip()
            self._label_pending = False
        if not self._held:
            return False
        self._head_pending = False
        self._quoted = self._held.startswith(_QUOTE)
        self._held = self._held.removeprefix(_QUOTE)
        return True

    def _without_quote(self) -> str:
        return self._held.removesuffix(_QUOTE) if self._quoted else self._held
