"""Carries out each run's options among the manager's rows, as `choices.py` does in closed batches.

The manager's own processors know temperature, top_k and top_p only, sort the whole vocabulary for all rows if one row
samples, and have no seed (`cb_logits_processors.py`). Here it is told to be greedy, and a row that wants another token
than the most probable one has that token's score made endless. Runs in the manager's thread.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
)

from alcove.engines.transformers.continuous.going import Going


class Chooser(ContinuousBatchingLogitsProcessor):  # type: ignore[misc]  # transformers is untyped
    """The only logits processor of a manager, so that it sees the model's own logits."""

    supported_kwargs: dict[str, type] = {}  # noqa: RUF012  # the library's own shape
    ignored_kwargs: tuple[str, ...] = ()

    def __init__(self, going: Callable[[str], Going | None]) -> None:
        """`going` finds a run by its id; None: it has been cancelled."""
        self._going = going
        self._rows: list[tuple[int, Going]] = []

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        """There is nothing that would have to cross to the device."""
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: Sequence[Any]) -> torch.Tensor:
        """Called before each step with the rows that it gives a token to, in their order."""
        found = [self._going(request.state.request_id) for request in requests_with_new_token]
        self._rows = [(place, going) for place, going in enumerate(found) if going is not None and not going.idle]
        return torch.zeros(len(requests_with_new_token), dtype=torch.int32)

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        """`scores`: (rows, vocabulary), the logits in float32, ours to change."""
        for place, going in self._rows:
            token = going.choose(scores[place : place + 1])
            if token is not None:
                scores[place, token] = torch.inf
        return scores


def processors(chooser: Chooser) -> ContinuousBatchingLogitsProcessorList:
    """The manager's list with nothing but our processor in it."""
    made = ContinuousBatchingLogitsProcessorList([chooser])
    made.tensors_required = 1  # counted by the library for processors that it has converted itself only
    return made
