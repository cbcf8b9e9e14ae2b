"""CTranslate2 called directly, without a callback, at its best: what alcove is compared with.

`python -m tests.bench.direct seq2seq|causal FOLDER` obeys the commands below (see `child.py`).
"""

import math
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any

import ctranslate2

from tests.bench import workload
from tests.bench.child import obey
from tests.bench.plans import Plan, best, plans
from tests.bench.steady import Piece, tokens_per_s
from tests.bench.workload import NEW_TOKENS

Batch = Sequence[list[str]]


class Engine:
    """One model, opened anew for each number of workers and threads."""

    def __init__(self, kind: str, folder: str) -> None:
        self._kind = kind
        self._folder = folder
        self._opened: tuple[tuple[int, int], Any] | None = None
        self._plans: dict[int, Plan] = {}
        self._made: dict[str, list[str]] = {}
        """The latest answer to each prompt."""

    def best(self, rows: int, rounds: int) -> str:
        """Find the best way for so many rows at a time, in trials of so many rounds; once."""
        if rows not in self._plans:
            self._plans[rows] = best(plans(self._kind, rows), partial(self._rate, rows=rows, rounds=rounds))
        return str(self._plans[rows])

    def run(self, rows: int, rounds: int) -> float:
        """Tokens a second in the best way."""
        return self._rate(self._plans[rows], rows=rows, rounds=rounds)

    def texts(self) -> dict[str, list[str]]:
        """The answers of the latest run, in tokens, by prompt; an encoder-decoder's prompt has its end."""
        return self._made

    def times(self, rows: Sequence[int], busy: Sequence[int], workers: int, repeats: int) -> list[list[float]]:
        """Seconds that sources take to be encoded, and those of a step: a line `[rows, busy, encode, step]` for each
        number of rows in a batch and each of workers that are busy with such a batch."""
        self._open(workers, 1)
        found = []
        for count in rows:
            for others in busy:
                short, long = (
                    median(self._seconds(count, others, steps) for _ in range(repeats)) for steps in (1, NEW_TOKENS + 1)
                )
                step = (long - short) / NEW_TOKENS
                found.append([count, others, max(short - step, 0.0), step])
        return found

    def _seconds(self, rows: int, busy: int, steps: int) -> float:
        batch = workload.token_lists(self._kind, rows)
        pieces = self._pieces([batch] * busy * 2, busy, steps)
        return sum(piece.ended - piece.begun for piece in pieces) / len(pieces)

    def _rate(self, plan: Plan, floor: float = 0.0, *, rows: int, rounds: int) -> float:
        """Tokens a second; given up when that is going to be less than `floor`."""
        self._open(plan.workers, plan.threads)
        batches = workload.chunks(workload.token_lists(self._kind, rows), plan.size)
        limit = rows * rounds * NEW_TOKENS / floor if floor else math.inf
        return tokens_per_s(self._pieces(batches * rounds, plan.workers, NEW_TOKENS, limit), plan.workers)

    def _pieces(self, batches: Sequence[Batch], workers: int, steps: int, limit: float = math.inf) -> list[Piece]:
        """Each worker takes the next batch as soon as it is free, until `limit` seconds have passed."""
        waiting = enumerate(batches)
        lock = threading.Lock()
        pieces: dict[int, Piece] = {}
        end = time.perf_counter() + limit

        def work() -> None:
            while time.perf_counter() < end:
                with lock:
                    number, batch = next(waiting, (0, None))
                if batch is None:
                    return
                begun = time.perf_counter()
                self._call(batch, steps)
                pieces[number] = Piece(begun, time.perf_counter(), len(batch) * steps)

        threads = [threading.Thread(target=work) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [pieces[number] for number in sorted(pieces)]

    def _call(self, batch: Batch, steps: int) -> None:
        assert self._opened
        library = self._opened[1]
        if self._kind == "seq2seq":
            results = library.translate_batch(
                batch, beam_size=1, max_decoding_length=steps, min_decoding_length=0, max_input_length=0
            )
            made = [result.hypotheses[0] for result in results]
        else:
            results = library.generate_batch(
                batch, beam_size=1, sampling_topk=1, max_length=steps, min_length=0,
                include_prompt_in_result=False, cache_static_prompt=False,
            )  # fmt: skip
            made = [result.sequences[0] for result in results]
        assert all(len(tokens) == steps for tokens in made)
        if steps == NEW_TOKENS:
            self._made.update((" ".join(given), tokens) for given, tokens in zip(batch, made, strict=True))

    def _open(self, workers: int, threads: int) -> None:
        if self._opened and self._opened[0] == (workers, threads):
            return
        self._opened = None
        library = ctranslate2.Translator if self._kind == "seq2seq" else ctranslate2.Generator
        opened = library(self._folder, inter_threads=workers, intra_threads=threads, max_queued_batches=-1)
        self._opened = ((workers, threads), opened)
        self._pieces([workload.token_lists(self._kind, 1)] * 2 * workers, workers, 8)  # warms up


if __name__ == "__main__":
    engine = Engine(*sys.argv[1:])
    obey({"best": engine.best, "run": engine.run, "texts": engine.texts, "times": engine.times})
