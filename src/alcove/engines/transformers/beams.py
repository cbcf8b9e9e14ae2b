"""The hooks of a beam search: each row's options and forced tokens, and the scores of its outputs, kept small.

`generate` gives scores only along with those of the whole vocabulary at every step (500 MB an NLLB translation of 128
tokens).
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor

from alcove.engines.transformers.groups import Group
from alcove.engines.transformers.options import beams, samples
from alcove.engines.transformers.prompts import Ids
from alcove.engines.transformers.rows import Row
from alcove.runs import Options


def search_config(row: Row, ids: Ids) -> GenerationConfig:
    """The search that `row` asks for; all rows of its batch ask for the same."""
    options = row.run.options.given()
    return GenerationConfig(
        num_beams=options["num_beams"],
        length_penalty=options["length_penalty"],
        early_stopping=options.get("early_stopping", False),
        do_sample=samples(row.run.options),
        top_k=0,  # where it is left out, transformers samples from 50
        num_return_sequences=row.run.outputs,
        max_new_tokens=row.limit,
        eos_token_id=list(row.ends) or None,
        pad_token_id=ids.pad,
        return_dict_in_generate=True,
    )


class BeamOptions(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped
    """Carries out each row's options, then forces its own first and last token."""

    def __init__(self, rows: Sequence[Row], groups: Sequence[Group], *, prompt: int) -> None:
        """`prompt`: length of the padded prompts."""
        self._rows = rows
        self._groups = groups
        self._prompt = prompt

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores`: (rows * beams, vocabulary), log-probabilities, the beams of a row side by side; ours to change."""
        for group in self._groups:
            scores[group.lines] = group.processed(input_ids, scores)
        width = scores.shape[0] // len(self._rows)
        for place, row in enumerate(self._rows):
            token = row.forced_at(input_ids.shape[1] - self._prompt)
            if token is not None:
                lines = slice(place * width, (place + 1) * width)
                scores[lines] = -torch.inf
                scores[lines, token] = 0
        return scores


class BeamScores(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped
    """The last processor: remembers the log-probabilities of the tokens that a step of the search may choose."""

    def __init__(self, options: Options, *, ends: int) -> None:
        self._length_penalty = options.given()["length_penalty"]
        # _beam_search looks at so many continuations; none of them is further down in its own beam.
        self._kept = max(2, 1 + ends) * beams(options)
        self._steps: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores`: (rows * beams, vocabulary), log-probabilities."""
        self._steps.append(tuple(scores.topk(min(self._kept, scores.shape[1]))))
        return scores

    def of(self, made: torch.Tensor, beam_indices: Any) -> list[float]:
        """The scores of the outputs: sums of log-probabilities over length ** length_penalty.

        `made`: (outputs, steps), the new tokens; `beam_indices`: (outputs, steps), the beam that each came from, -1
        behind the end.
        """
        totals = torch.zeros(made.shape[0], device=made.device)
        for (values, tokens), chosen, lines in zip(self._steps, made.T, beam_indices.T, strict=False):
            found = (tokens[lines] == chosen[:, None]) & (lines >= 0)[:, None]
            totals += torch.where(found, values[lines], 0.0).sum(dim=-1)
        lengths = (beam_indices >= 0).sum(dim=-1)
        return [float(score) for score in totals / lengths**self._length_penalty]
