"""`str.strip`, piece by piece: for tokenizers (Marian, M2M100) that give a text without blanks around it.

In goes text, out comes text; blanks are held back until something follows them. Put behind a detokenizer.
"""


class Strip:
    """Drops the blanks before and after a text."""

    def __init__(self) -> None:
        self._begun = False
        self._blanks = ""

    def feed(self, text: str) -> str:
        """Take further text; returns it without the blanks at its end."""
        text = self._blanks + text if self._begun else text.lstrip()
        certain = text.rstrip()
        self._blanks = text[len(certain) :]
        self._begun = self._begun or bool(certain)
        return certain

    def flush(self) -> str:
        """Nothing: blanks at the end are dropped."""
        return ""
