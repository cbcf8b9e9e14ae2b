"""Log-probabilities out of raw logits. Pure numpy; used by `row.py` and `engine.py`."""

from collections.abc import Sequence

import numpy as np

from alcove.engines.ctranslate2.penalties import Scores
from alcove.runs import TokenLogprob


def token_logprob(logits: Scores, token: int, top: int) -> TokenLogprob:
    """What the model thought of `token`, and its `top` most probable ones."""
    highest = logits.max()
    norm = highest + np.log(np.exp(logits - highest).sum())
    most = np.argpartition(-logits, min(top, len(logits) - 1))[:top]
    most = most[np.lexsort((most, -logits[most]))]
    return TokenLogprob(
        float(logits[token] - norm),
        tuple((int(token), float(logits[token] - norm)) for token in most if logits[token] > -np.inf),
    )


def prompt_logprobs(logits: Sequence[Scores], tokens: Sequence[int], top: int) -> tuple[TokenLogprob | None, ...]:
    """Of a causal model's prompt: nothing stands before its first token; `logits` come after each."""
    later = [token_logprob(row, token, top) for row, token in zip(logits, tokens[1:], strict=False)]
    return (None, *later)
