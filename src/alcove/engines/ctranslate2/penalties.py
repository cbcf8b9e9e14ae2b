"""What acts on a row's logits before a token is chosen: biases, bans and penalties, as transformers' processors do it.

Pure numpy, in the tokenizer's ids. Made by `engine.py` for each run whose tokens CTranslate2 cannot choose itself,
called by `choice.py` at each of its steps.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alcove.engines.ctranslate2.bans import bad_words, suppressed_tokens
from alcove.runs import Options

Scores = NDArray[np.float32]
"""One for each of the vocabulary's ids; what is banned is at minus infinity."""


class Penalties:
    """The options of one run, ready to be applied at every step."""

    def __init__(self, options: Options, ends: Sequence[int], size: int) -> None:
        """`ends` are the ids that end an output, `size` is how many ids there are."""
        self._bias = [(token, bias) for token, bias in (options.logit_bias or {}).items()]
        self._closed = _closed(options, ends, size)
        self._words = [word for word in bad_words(options) if len(word) > 1]
        self._min_new = options.min_new_tokens or 0
        self._early = _known([*ends, *(options.stop_token_ids or ())], size)
        self._repetition = _or(options.repetition_penalty, 1.0)
        self._presence = options.presence_penalty or 0.0
        self._frequency = options.frequency_penalty or 0.0
        self._ngram = options.no_repeat_ngram_size or 0

    def apply(self, logits: Scores, given: Sequence[int], output: Sequence[int], new: int) -> Scores:
        """The scores from which the next token is chosen.

        `given` are the ids before the output that penalties see, `new` is how many tokens count as made so far.
        """
        scores = logits.copy()
        for token, bias in self._bias:
            scores[token] += bias
        history = [*given, *output]
        scores[self._closed] = -np.inf
        for word in self._words:
            # transformers looks at words no longer than what stands there already
            if len(word) <= len(history) and history[1 - len(word) :] == word[:-1] and word[-1] < len(scores):
                scores[word[-1]] = -np.inf
        if new < self._min_new:
            scores[self._early] = -np.inf
        if self._repetition != 1.0:
            seen = _known(history, len(scores))
            scores[seen] *= np.where(scores[seen] < 0, self._repetition, 1 / self._repetition).astype(np.float32)
        if (self._presence or self._frequency) and output:
            made, counts = np.unique(np.asarray(output), return_counts=True)
            scores[made] -= (self._presence + self._frequency * counts).astype(np.float32)
        if self._ngram:
            scores[_known(_repeating(history, self._ngram), len(scores))] = -np.inf
        return scores


def _closed(options: Options, ends: Sequence[int], size: int) -> NDArray[np.intp]:
    """The ids that may never be chosen."""
    closed = np.zeros(size, dtype=bool)
    if options.allowed_token_ids is not None:
        closed[:] = True
        closed[_known([*options.allowed_token_ids, *ends], size)] = False
    words = [word[0] for word in bad_words(options) if len(word) == 1]
    # transformers never takes a lone end of sequence for a bad word
    closed[_known([token for token in words if token not in ends], size)] = True
    closed[_known(suppressed_tokens(options), size)] = True
    if options.ignore_eos:
        closed[_known(ends, size)] = True
    return np.flatnonzero(closed)


def _repeating(history: Sequence[int], size: int) -> set[int]:
    """The tokens that would make an n-gram of `history` occur again."""
    last = list(history[len(history) - size + 1 :])
    return {
        history[end]
        for end in range(size - 1, len(history))
        if list(history[end - size + 1 : end]) == last and len(last) == size - 1
    }


def _known(ids: Any, size: int) -> NDArray[np.intp]:
    """These ids, each once, without those that the vocabulary lacks, which cannot come anyway."""
    return np.asarray(sorted({token for token in ids if 0 <= token < size}), dtype=np.intp)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
