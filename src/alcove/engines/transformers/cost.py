"""What a batch costs `generate`, so that the batcher can put together what goes well together.

Fitted to float32 models on a CPU, in one thread, 1 to 16 rows and 20 to 160 tokens; only ratios matter. T5-60M: a step
12.6 ms, a row 0.075 of it, a token 0.045; Llama-125M: 27.3 ms, 0.082 and 0.067; within 15 % of what was measured.
"""

from collections.abc import Sequence

from alcove.engines.base import steps_left
from alcove.engines.transformers.options import beams
from alcove.runs import Run

STEP = 1.0
"""A step of the decoder, however many rows it has."""
ROW = 0.08
"""What a row adds to a step; one that has ended is fed on until all have."""
TOKEN = 0.055
"""A token of a source or prompt; all are padded to the longest."""


def cost(runs: Sequence[Run], lengths: Sequence[int]) -> float:
    """About how long a batch of these takes, in steps of the decoder; `lengths` are those of the prompts."""
    steps = max(steps_left(run) for run in runs)
    rows = len(runs) * beams(runs[0].options)
    return TOKEN * max(lengths) * len(runs) + (STEP + ROW * rows) * steps
