"""The second forerunner's `clean_up_tokenization_spaces`: no blanks before punctuation and English contractions.

In goes text, out comes text, with the replacements that transformers makes, in its order. Asked for by the
settings' `decode` options only; a tokenizer puts it behind its detokenizer.
"""

from alcove.pipeline.text.machines import unfinished

_REPLACEMENTS = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
    (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


class Replace:
    """`str.replace`, piece by piece."""

    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new
        self._held = ""

    def feed(self, text: str) -> str:
        """Take further text; returns it replaced, up to what may become an occurrence."""
        *replaced, rest = (self._held + text).split(self._old)
        certain = len(rest) - unfinished(rest, (self._old,))
        self._held = rest[certain:]
        return self._new.join([*replaced, rest[:certain]])

    def flush(self) -> str:
        """What looked like the beginning of an occurrence."""
        rest, self._held = self._held, ""
        return rest


class CleanUp:
    """All replacements, one after the other."""

    def __init__(self) -> None:
        self._steps = [Replace(old, new) for old, new in _REPLACEMENTS]

    def feed(self, text: str) -> str:
        """Take further text; returns what is certain by now."""
        for step in self._steps:
            text = step.feed(text)
        return text

    def flush(self) -> str:
        """The rest."""
        text = ""
        for step in self._steps:
            text = step.feed(text) + step.flush()
        return text


def clean_up(text: str) -> str:
    """The same on a whole text."""
    for old, new in _REPLACEMENTS:
        text = text.replace(old, new)
    return text
