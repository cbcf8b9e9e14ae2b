"""How token ids become text: the second forerunner's `DECODE_CONFIG` (keywords of the tokenizer's `decode`).

In go the settings' `decode` options, out comes `Decoding`, which every tokenizer of this package takes; here too the
machine that joins a tokenizer's own detokenizer with text machines behind it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from alcove.errors import ConfigurationError
from alcove.pipeline.text.detokenize import Detokenizer
from alcove.pipeline.text.machines import TextMachine


@dataclass(frozen=True, slots=True)
class Decoding:
    """What is done to a text on its way out."""

    skip_special: bool = True
    """Whether special tokens are left out."""
    clean_up: bool = False
    """Whether blanks before punctuation are removed."""


def read_decoding(options: Mapping[str, Any], keywords: Mapping[str, Any]) -> Decoding:
    """Take the options; the tokenizer's own `keywords` of the settings give a default. Raises `ConfigurationError` for
    an option that alcove does not know, or that is not true or false."""
    names = {"skip_special_tokens": "skip_special", "clean_up_tokenization_spaces": "clean_up"}
    for key, value in options.items():
        if key not in names:
            raise ConfigurationError(
                f"engine_options.decode.{key}: not an option of decode that alcove takes; it takes {', '.join(names)}."
            )
        if not isinstance(value, bool):
            raise ConfigurationError(f"engine_options.decode.{key}: must be true or false, not {value!r}.")
    default = bool(keywords.get("clean_up_tokenization_spaces"))
    return Decoding(**{"clean_up": default} | {names[key]: value for key, value in options.items()})


class Through:
    """A detokenizer with a text machine behind it."""

    def __init__(self, detokenizer: Detokenizer, machine: TextMachine) -> None:
        self._detokenizer, self._machine = detokenizer, machine

    def feed(self, ids: Iterable[int]) -> str:
        """Take further ids; returns the text that is certain by now."""
        return self._machine.feed(self._detokenizer.feed(ids))

    def flush(self) -> str:
        """The rest of the text."""
        return self._machine.feed(self._detokenizer.flush()) + self._machine.flush()
