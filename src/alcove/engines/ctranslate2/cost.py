"""What a batch costs CTranslate2, so that the batcher can put together what goes well together.

Fitted to int8 models of 60M to 223M parameters on one core of an x86-64 CPU; only ratios matter, and what is put
together depends little on them.
"""

from collections.abc import Sequence

from alcove.engines.base import steps_left
from alcove.runs import Run
from alcove.store.folder import Kind

STEP = 1.0
"""A step of the decoder, however many rows it has: the weights are read once."""
ROW = 0.065
"""What a row adds to a step: 0.045 to 0.1, more with longer contexts."""
TOKEN = 0.03
"""A token of a source or prompt that is read with all others at once: 0.026 to 0.045."""


def length(run: Run, kind: Kind) -> int:
    """Tokens that are read before the run's next one is made; what is shared is read once for all."""
    return len(run.tokens) - run.shared + (len(run.made) if kind == "causal" else 0)


def cost(runs: Sequence[Run], kind: Kind) -> float:
    """About how long a batch of these takes, in steps of the decoder.

    An encoder's sources are padded to the longest. A Generator reads its prompts at once up to the length of the
    shortest; the rest of the longer ones goes through its steps, a token each (`DecoderReplica::run_generation`).
    """
    lengths = [length(run, kind) for run in runs]
    shortest, longest = min(lengths), max(lengths)
    steps = [steps_left(run) for run in runs]
    read = longest
    if kind == "causal":
        steps = [mine + extra - shortest for mine, extra in zip(steps, lengths, strict=True)]
        read = shortest
    beams = runs[0].options.num_beams or 1
    return TOKEN * read * len(runs) + STEP * max(steps) + ROW * beams * sum(steps)
