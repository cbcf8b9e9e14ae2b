"""Rows of a batch that share their processors: equal options and, where these look at ids, equal lengths.

Made by `make_groups` for each call of `generate`; its hooks in `choices.py` and `beams.py` ask the groups at each step.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import torch

from alcove.engines.transformers.chain import SEES_IDS, Processor, Setting, chain
from alcove.engines.transformers.options import ENCODER_ONLY, beams, effective, key, samples
from alcove.engines.transformers.rows import Row


class Group:
    """Some rows, in the places that they have in the batch."""

    def __init__(self, places: Sequence[int], rows: Sequence[Row], *, width: int, device: torch.device) -> None:
        """`width`: length of the longest prompt, to which the others are padded on the left."""
        first = rows[0]
        options = effective(first.run.options)
        self.places = places
        self.rows = rows
        self._beams = beams(first.run.options)
        self._samples = samples(first.run.options)
        self._padding = width - len(first.prompt.ids)
        source = [row.run.tokens for row in rows] if options.keys() & ENCODER_ONLY else []
        setting = Setting(
            eos=torch.tensor(first.eos, dtype=torch.long, device=device),
            stops=torch.tensor(first.stops, dtype=torch.long, device=device),
            begin=first.prompt.begin,
            output=first.prompt.output,
            source=torch.tensor(source, dtype=torch.long, device=device),
            # as in `_get_logits_processor`: a search must be left a token that does not end it
            least=1 if self._beams == 1 else 1 + len(first.ends),
        )
        self._processors: list[Processor] = chain(options, setting)
        self._end = next(iter(first.ends), None)
        lines = [place * self._beams + beam for place in places for beam in range(self._beams)]
        self.lines = torch.tensor(lines, device=device)
        """Where the rows, beam by beam, are in the tensors of the batch."""

    @property
    def idle(self) -> bool:
        """Whether the rows are greedy, and nothing acts on their scores."""
        return not self._processors and not self._samples

    def processed(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores of these rows, (lines, vocabulary), after all options; of the whole batch's tensors."""
        ids, scores = input_ids[self.lines, self._padding :], scores[self.lines]
        for processor in self._processors:
            scores = processor(ids, scores)
        return scores

    def choose(self, input_ids: torch.Tensor, scores: torch.Tensor) -> list[int]:
        """The next token of each row; an end of sequence where the options leave no token at all."""
        scores = self.processed(input_ids, scores)
        best, tokens = scores.max(dim=-1)
        if self._samples:
            waits = np.stack([row.waits(scores.shape[1]) for row in self.rows])
            tokens = (scores.softmax(dim=-1) / torch.from_numpy(waits).to(scores.device)).argmax(dim=-1)
        if self._end is not None:
            tokens = torch.where(best > -torch.inf, tokens, self._end)
        return tokens.tolist()  # type: ignore[no-any-return]  # torch is not looked into


def make_groups(rows: Sequence[Row], *, width: int, device: torch.device) -> list[Group]:
    """The groups of a batch; rows on which nothing acts are in none."""
    members: dict[Hashable, list[int]] = {}
    for place, row in enumerate(rows):
        names = effective(row.run.options).keys()
        prompt = row.prompt
        lengths = (len(prompt.ids), prompt.begin, prompt.output) if names & SEES_IDS else None
        source = len(row.run.tokens) if names & ENCODER_ONLY else None
        members.setdefault((key(row.run.options), lengths, source), []).append(place)
    groups = [Group(places, [rows[p] for p in places], width=width, device=device) for places in members.values()]
    return [group for group in groups if not group.idle]
