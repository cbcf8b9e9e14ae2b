"""CTranslate2's two kinds of model behind one call: `Translator` for encoder-decoder, `Generator` for decoder-only.

Used by `engine.py`. Every option that matters is said: the defaults of the two differ, and some bite (`beam_size` 2,
`min_decoding_length` 1, sources cut at 1,024 tokens on a Translator).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ctranslate2
import numpy as np
from numpy.typing import NDArray

from alcove.engines.ctranslate2.search import Search

Tokens = list[str]
Callback = Callable[[int, int], bool]
"""Takes a row's number and the library's id of its new token; True ends the row."""


Outputs = tuple[list[Tokens], list[float]]
"""A row's outputs and their scores (none without beams)."""


class Library(Protocol):
    """A loaded model."""

    def generate(
        self,
        sources: list[Tokens],
        prefixes: list[Tokens],
        search: Search,
        max_length: int,
        callback: Callback | None,
    ) -> Sequence[Outputs]:
        """Run a batch to its end in one of the library's threads; blocks, without the interpreter's lock.

        `prefixes` are the decoder's first tokens (none for a Generator), `max_length` counts those that go through
        the decoding loop.
        """

    def close(self) -> None:
        """Release the memory."""


class Seq2Seq:
    """A Translator."""

    def __init__(self, translator: ctranslate2.Translator) -> None:
        self._translator = translator

    def generate(
        self,
        sources: list[Tokens],
        prefixes: list[Tokens],
        search: Search,
        max_length: int,
        callback: Callback | None,
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
            callback=_step_callback(callback),
            **_arguments(search),
        )
        return [(result.hypotheses, result.scores) for result in results]

    def close(self) -> None:
        """See `Library.close`."""
        self._translator.unload_model()


class Causal:
    """A Generator."""

    def __init__(self, generator: ctranslate2.Generator) -> None:
        self._generator = generator

    def generate(
        self,
        sources: list[Tokens],
        prefixes: list[Tokens],
        search: Search,
        max_length: int,
        callback: Callback | None,
    ) -> Sequence[Outputs]:
        """See `Library.generate`. All sources are of one length: others would be many times slower."""
        results = self._generator.generate_batch(
            sources,
            max_length=max_length,
            min_length=min(search.min_length, max_length),
            include_prompt_in_result=search.loops_prompt,
            cache_static_prompt=False,
            callback=_step_callback(callback),
            **_arguments(search),
        )
        return [(result.sequences, result.scores) for result in results]

    def logits_after(self, source: Tokens, search: Search) -> NDArray[np.float64]:
        """What the next token after `source` is chosen from: a number for each of the library's ids, all options but
        the sampling ones applied."""
        (result,) = self._generator.generate_batch(
            [source],
            max_length=len(source),
            min_length=min(search.min_length, len(source)),
            include_prompt_in_result=True,
            cache_static_prompt=False,
            return_logits_vocab=True,
            **_arguments(search),
        )
        # the steps that only repeat the source have their logits, too
        return np.asarray(result.logits[0][-1], dtype=np.float64).reshape(-1)

    def close(self) -> None:
        """See `Library.close`."""
        self._generator.unload_model()


def _arguments(search: Search) -> dict[str, Any]:
    return {name: list(value) if name == "end_token" else value for name, value in search.arguments}


def _step_callback(callback: Callback | None) -> Callable[[Any], bool] | None:
    if callback is None:
        return None
    take = callback
    return lambda step: take(step.batch_id, step.token_id)
