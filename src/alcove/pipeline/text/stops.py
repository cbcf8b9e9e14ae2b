"""Stop strings: cuts a text before the first of them, wherever the pieces of the text are split.

In goes text, out comes what may be shown; `stopped` tells that the run can end. Part of the chain in `chain.py`.
"""

from collections.abc import Iterable

from alcove.pipeline.text.machines import unfinished


class StopStrings:
    """The stop string that is complete first wins, of several that end there the longest."""

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = tuple(filter(None, stops))
        self._held = ""
        self.stopped = False
        """Whether a stop string was found; all later text is dropped."""

    def feed(self, text: str) -> str:
        """Take further text; returns it up to a stop string, or up to what may become one."""
        if self.stopped:
            return ""
        text = self._held + text
        found = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)[1]]
        certain = len(text) - unfinished(text, self._stops)
        self._held = text[certain:]
        return text[:certain]

    def flush(self) -> str:
        """What looked like the beginning of a stop string."""
        rest, self._held = self._held, ""
        return rest
