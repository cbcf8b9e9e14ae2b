"""Stop strings: cuts a text before the first of them, wherever the pieces of the text are split.

In goes text, out comes what may be shown; `stopped` tells that the run can end. Part of the chain in `chain.py`.
"""

from collections.abc import Iterable

from alcove.pipeline.text.machines import unfinished


class StopStrings:
    """The stop string that is complete first wins, of several that end there the longest."""

    def __init__(self, stops: Iterable[str], *, keep: bool = False) -> None:
        """`keep` leaves the stop string in the text, as its end."""
        self._stops = tuple(filter(None, stops))
        self._keep = keep
        self._held = ""
        self.found: str | None = None
        """The stop string that was found; all later text is dropped."""

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found."""
        return self.found is not None

    def feed(self, text: str) -> str:
        """Take further text; returns it up to a stop string, or up to what may become one."""
        if self.stopped:
            return ""
        text = self._held + text
        found = [(at + len(stop), at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            end, at, self.found = min(found)
            self._held = ""
            return text[: end if self._keep else at]
        certain = len(text) - unfinished(text, self._stops)
        self._held = text[certain:]
        return text[:certain]

    def flush(self) -> str:
        """What looked like the beginning of a stop string."""
        rest, self._held = self._held, ""
        return rest
