"""The way from an output's token ids to the text that its reader sees: detokenize, stop strings, text rules.

In go ids, out come pieces of text. Made by `pipeline/model.py` for each output of a run; pure, one thread at a time.
"""

from collections.abc import Iterable

from alcove.pipeline.prompts.prepared import Prepared
from alcove.pipeline.text.detokenize import Detokenizer
from alcove.pipeline.text.languagemodels import LanguageModelsText
from alcove.pipeline.text.machines import TextMachine
from alcove.pipeline.text.stops import StopStrings
from alcove.pipeline.tokenizer import Tokenizer


class TextChain:
    """One output's machines in a row."""

    def __init__(self, detokenizer: Detokenizer, stops: StopStrings, rules: TextMachine | None = None) -> None:
        self._detokenizer = detokenizer
        self._stops = stops
        self._rules = rules
        self._ended = False
        self.length = 0
        """Characters that the ids have become so far, before stop strings and text rules."""

    @property
    def stop(self) -> str | None:
        """The stop string that was found: the run can end, later ids give no text."""
        return self._stops.found

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found."""
        return self._stops.stopped

    def feed(self, ids: Iterable[int], *, search: bool = True) -> str:
        """Take further ids; returns the text that is certain by now. After a stop string, all of it. Without `search`
        no stop string begins or ends in the text of these ids."""
        if self._ended:
            return ""
        text = self._detokenizer.feed(ids)
        self.length += len(text)
        text = self._tidy(self._stops.feed(text) if search else text)
        return text + self._end() if self.stopped else text

    def flush(self) -> str:
        """No more ids will come: the rest of the text."""
        if self._ended:
            return ""
        text = self._stops.feed(self._detokenizer.flush())
        return self._tidy(text + self._stops.flush()) + self._end()

    def _tidy(self, text: str) -> str:
        return self._rules.feed(text) if self._rules else text

    def _end(self) -> str:
        self._ended = True
        return self._rules.flush() if self._rules else ""


def text_chain(
    tokenizer: Tokenizer,
    stops: Iterable[str] = (),
    prepared: Prepared | None = None,
    *,
    keep_stop: bool = False,
    skip_special: bool | None = None,
) -> TextChain:
    """The machines of one output: the tokenizer's, these stop strings, the text rules that the prompt asks for."""
    rules = LanguageModelsText(prepared.text_rules) if prepared and prepared.text_rules else None
    return TextChain(tokenizer.stream(skip_special=skip_special), StopStrings(stops, keep=keep_stop), rules)
