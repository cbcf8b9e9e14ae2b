"""Scores of a beam search, kept small: `generate` gives them only along with the scores of the whole vocabulary at
every step (500 MB an NLLB translation of 128 tokens). Used by `engine.py` as the last of the logits processors."""

from typing import Any

import torch
from transformers import LogitsProcessor

from alcove.runs import Options


class BeamScores(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped
    """Remembers the log-probabilities of the tokens that a step of the search may choose."""

    def __init__(self, options: Options, *, ends: int) -> None:
        given = options.given()
        self._length_penalty = given["length_penalty"]
        self._renormalize = bool(given.get("renormalize_logits"))
        # _beam_search looks at so many continuations; none of them is further down in its own beam.
        self._kept = max(2, 1 + ends) * given["num_beams"]
        self._steps: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores`: (rows * beams, vocabulary), log-probabilities."""
        final = scores.log_softmax(dim=-1) if self._renormalize else scores
        self._steps.append(tuple(final.topk(min(self._kept, final.shape[1]))))
        return scores

    def of(self, made: torch.Tensor, beam_indices: Any) -> list[float]:
        """The scores of the outputs: sums of log-probabilities over length ** length_penalty.

        `made`: (outputs, steps), the new tokens; `beam_indices`: (outputs, steps), the beam that each came from, -1
        behind the end.
        """
        totals = torch.zeros(made.shape[0], device=made.device)
        for (values, tokens), chosen, beams in zip(self._steps, made.T, beam_indices.T, strict=False):
            found = (tokens[beams] == chosen[:, None]) & (beams >= 0)[:, None]
            totals += torch.where(found, values[beams], 0.0).sum(dim=-1)
        lengths = (beam_indices >= 0).sum(dim=-1)
        return [float(score) for score in totals / lengths**self._length_penalty]
