"""`best_of`: of the samples of one prompt the best by mean log-probability. Used by `pipeline/model.py`."""

from collections.abc import Sequence

from msgspec.structs import replace

from alcove.jobs import Event
from alcove.pipeline.output import Output


class BestOf:
    """Holds a job's outputs back until all have ended."""

    def __init__(self, outputs: Sequence[Output], keep: int) -> None:
        self._outputs = outputs
        self._keep = keep
        self._told = False

    def events(self) -> list[Event]:
        """The best outputs, whole, best first; once, when all have ended, and nothing before. The first event accounts
        for the tokens of those that were left out."""
        if self._told or any(output.finish is None for output in self._outputs):
            return []
        self._told = True
        ranked = sorted(self._outputs, key=lambda output: output.mean_logprob, reverse=True)
        events = [output.event() for output in ranked]
        best = [replace(event, output=place) for place, event in enumerate(events[: self._keep])]
        rest = events[self._keep :]
        best[0] = replace(
            best[0],
            tokens=best[0].tokens + sum(event.tokens for event in rest),
            prompt_tokens=best[0].prompt_tokens + sum(event.prompt_tokens for event in rest),
        )
        return best
