"""CTranslate2's two kinds of model behind one call: `Translator` for encoder-decoder, `Generator` for decoder-only.

Used by `engine.py`. Every option that matters is said: the defaults of the two differ, and some bite (`beam_size` 2,
`min_decoding_length` 1, sources cut at 1,024 tokens on a Translator).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ctranslate2
import numpy as np

from alcove.engines.ctranslate2.penalties import Scores
from alcove.engines.ctranslate2.search import Search
from alcove.engines.ctranslate2.thread_state import ThreadStates

Tokens = list[str]
ReadLogits = Callable[[], Scores]
"""Gives the logits of a step, in the library's order; to be called once, when the step is told."""
Callback = Callable[[int, int, int, ReadLogits | None], bool]
"""Takes the number of the library's step, a row's number, the library's id of its new token and, where the search wants
logits, the way to them; True ends the row. Never raises."""


Outputs = tuple[list[Tokens], list[float]]
"""A row's outputs and their scores (none without beams)."""


class Library(Protocol):
    """A loaded model."""

    @property
    def compute_type(self) -> str:
        """The precision in which the library computes: `int8_float32`, `float32`..."""

    def generate(
        self,
        sources: list[Tokens],
        prefixes: list[Tokens],
        search: Search,
        max_length: int,
        callback: Callback | None,
        beginning: Tokens,
    ) -> Sequence[Outputs]:
        """Run a batch to its end in one of the library's threads; blocks, without the interpreter's lock.

        `prefixes` are the decoder's first tokens (none for a Generator), `max_length` counts those that go through
        the decoding loop. `beginning` stands before all sources of a Generator, and its state is kept for ever: each
        costs memory, so there may be but few.
        """

    def close(self) -> None:
        """Release the memory."""


class Seq2Seq:
    """A Translator."""

    def __init__(self, translator: ctranslate2.Translator) -> None:
        self._translator = translator
        self.compute_type: str = translator.compute_type
        self._states = ThreadStates()

    def generate(
        self,
        sources: list[Tokens],
        prefixes: list[Tokens],
        search: Search,
        max_length: int,
        callback: Callback | None,
        beginning: Tokens,
    ) -> Sequence[Outputs]:
        """See `Library.generate`."""
        results = self._translator.translate_batch(
            sources,
            prefixes if any(prefixes) else None,
            max_decoding_length=max_length,
            min_decoding_length=min(search.min_length, max_length),
            max_input_length=0,
            coverage_penalty=0,
            prefix_bias_beta=0,
            use_vmap=False,
            replace_unknowns=False,
            callback=_step_callback(callback, self._states, logits=search.logits),
            **_arguments(search),
        )
        return [(result.hypotheses, result.scores) for result in results]

    def close(self) -> None:
        """See `Library.close`. Its threads end with the object: at the interpreter's own end that would be too late."""
        del self._translator


class Causal:
    """A Generator."""

    def __init__(self, generator: ctranslate2.Generator) -> None:
        self._generator = generator
        self.compute_type: str = generator.compute_type
        self._states = ThreadStates()

    def generate(
        self,
        sources: list[Tokens],
        prefixes: list[Tokens],
        search: Search,
        max_length: int,
        callback: Callback | None,
        beginning: Tokens,
    ) -> Sequence[Outputs]:
        """See `Library.generate`."""
        results = self._generator.generate_batch(
            sources,
            max_length=max_length,
            min_length=min(search.min_length, max_length),
            include_prompt_in_result=False,
            static_prompt=beginning or None,
            cache_static_prompt=bool(beginning),
            callback=_step_callback(callback, self._states, logits=search.logits),
            **_arguments(search),
        )
        return [(result.sequences, result.scores) for result in results]

    def prompt_logits(self, tokens: Tokens) -> Scores:
        """The logits after each of `tokens`: (tokens, vocabulary)."""
        logits: Scores = _on_cpu(self._generator.forward_batch([tokens]))[0]
        return logits

    def close(self) -> None:
        """See `Library.close`. Its threads end with the object: at the interpreter's own end that would be too late."""
        del self._generator


def _arguments(search: Search) -> dict[str, Any]:
    return {name: list(value) if name == "end_token" else value for name, value in search.arguments}


def _step_callback(callback: Callback | None, states: ThreadStates, *, logits: bool) -> Callable[[Any], bool] | None:
    if callback is None:
        return None
    take, keep, table = callback, states.keep, _StepLogits()

    def called(step: Any) -> bool:
        keep()
        return take(step.step, step.batch_id, step.token_id, (lambda: table.of(step)) if logits else None)

    return called


class _StepLogits:
    """Finds each row's logits among those of a step.

    They come for all rows with the first that is told of the step; the others have empty ones
    (`std::move(logits_orig)` in CTranslate2's `src/decoding.cc`). Rows that have ended have no place in the table, and
    all that have one are told of every step, in the table's order.
    """

    def __init__(self) -> None:
        self._table: Scores = np.empty((0, 0), dtype=np.float32)
        self._row = 0

    def of(self, step: Any) -> Scores:
        self._row += 1
        if step.logits.shape:
            self._table, self._row = _on_cpu(step.logits), 0
        row: Scores = self._table[self._row]
        return row


def _on_cpu(values: Any) -> Scores:
    """A tensor of the library as an array that outlives it."""
    if values.dtype != ctranslate2.DataType.float32:
        values = values.to(ctranslate2.DataType.float32)
    if values.device != "cpu":
        values = values.to_device(ctranslate2.Device.cpu)
    return np.array(values)
