"""Tries a model out: does continuous batching give what the model itself gives?

Most of transformers' models can be batched continuously, but nothing in the library says which: a model that looks at
neither its positions nor its packed cache would answer nonsense. Called once by `continuous/__init__.py`.
"""

import threading
from collections.abc import Sequence

import torch

from alcove.engines.transformers.continuous.engine import ContinuousEngine
from alcove.engines.transformers.engine import TransformersEngine
from alcove.runs import Run, Step

_LENGTHS = (11, 3, 7)
_TOKENS = 4
_SECONDS = 120.0
_ROPES_OF_A_BATCH = frozenset({"dynamic", "longrope"})
"""Positions whose angles depend on the longest sequence of a call (`modeling_rope_utils.py`): of all that is packed."""


class Unfit(Exception):
    """The model cannot be batched continuously."""


def try_out(engine: ContinuousEngine, closed: TransformersEngine) -> None:
    """Raises `Unfit`, or whatever breaks."""
    config = closed.model.config.get_text_config()
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type")
    if rope in _ROPES_OF_A_BATCH:
        raise Unfit(f"its positions of the type {rope} depend on the whole batch")
    prompts = [tuple((7 + 13 * place * n) % closed.ids.size for place in range(n)) for n in _LENGTHS]
    runs = [Run(id=f"trial-{n}", tokens=ids, max_new_tokens=_TOKENS) for n, ids in enumerate(prompts)]
    runs = [run for run in runs if engine.takes(run)]
    made: dict[str, list[int]] = {run.id: [] for run in runs}
    errors: list[str] = []
    left = set(made)
    done = threading.Event()

    def sink(steps: Sequence[Step]) -> None:
        for step in steps:
            made[step.run] += step.tokens
            if step.error is not None:
                errors.append(step.error)
            if step.error is not None or step.finish is not None:
                left.discard(step.run)
        if not left:
            done.set()

    engine.submit(runs, sink)
    if not done.wait(_SECONDS):
        raise Unfit("no answer to a trial")
    if errors:
        raise Unfit(errors[0])
    for run in runs:
        _compare(closed, run, made[run.id])


def _compare(closed: TransformersEngine, run: Run, made: Sequence[int]) -> None:
    """Hold each token to the model's own logits, in whose scale half precision and ties are forgiven."""
    ids = torch.tensor([[*run.tokens, *made]], device=closed.model.device)
    with torch.inference_mode():
        logits = closed.model(input_ids=ids).logits[0, len(run.tokens) - 1 :].float()
    allowed = 0.01 if closed.model.dtype == torch.float32 else 0.5
    for at, token in zip(logits, made, strict=False):
        if float(at.max() - at[token]) > allowed * float(at.std()):
            raise Unfit("its answers are others than in closed batches")
