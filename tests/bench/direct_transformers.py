"""transformers' `generate` called directly at its best: what alcove is compared with.

`python -m tests.bench.direct_transformers seq2seq|causal FOLDER` obeys the commands below (see `child.py`).
"""

import os
import sys
import time
from functools import partial
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from tests.bench import workload
from tests.bench.child import obey
from tests.bench.plans import Plan, best
from tests.bench.steady import Piece, tokens_per_s
from tests.bench.workload import NEW_TOKENS

PAD, END = 0, 1


class Engine:
    """One model; its threads are torch's."""

    def __init__(self, kind: str, folder: str) -> None:
        self._kind = kind
        loader = AutoModelForSeq2SeqLM if kind == "seq2seq" else AutoModelForCausalLM
        self._model: Any = loader.from_pretrained(folder, dtype=torch.float32).eval()
        self._plans: dict[int, Plan] = {}

    def best(self, rows: int, rounds: int) -> str:
        """Find the best way for so many rows at a time, in trials of so many rounds."""
        threads = {1, len(os.sched_getaffinity(0))}
        sizes = [rows, rows // 2, rows // 4] if self._kind == "causal" else [rows]
        families = [[Plan(1, number, size) for size in sizes] for number in threads]
        self._piece(workload.token_lists(self._kind, 1))  # warms up
        self._plans[rows] = best(families, partial(self._rate, rows=rows, rounds=rounds))
        return str(self._plans[rows])

    def run(self, rows: int, rounds: int) -> float:
        """Tokens a second in the best way."""
        return self._rate(self._plans[rows], rows=rows, rounds=rounds)

    def _rate(self, plan: Plan, _floor: float = 0.0, *, rows: int, rounds: int) -> float:
        torch.set_num_threads(plan.threads)
        batches = workload.chunks(workload.token_lists(self._kind, rows), plan.size)
        return tokens_per_s([self._piece(batch) for batch in batches * rounds], 1)

    def _piece(self, batch: list[list[str]]) -> Piece:
        """A batch, padded on the side that its kind of model wants."""
        begun = time.perf_counter()
        longest = max(len(tokens) for tokens in batch)
        ids, masks = [], []
        for tokens in batch:
            padding, known = longest - len(tokens), [END if token == "</s>" else int(token[1:]) for token in tokens]
            before, after = (0, padding) if self._kind == "seq2seq" else (padding, 0)
            ids.append([PAD] * before + known + [PAD] * after)
            masks.append([0] * before + [1] * len(known) + [0] * after)
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=torch.tensor(ids), attention_mask=torch.tensor(masks),
                max_new_tokens=NEW_TOKENS, do_sample=False,
            )  # fmt: skip
        assert made.shape[1] == NEW_TOKENS + (1 if self._kind == "seq2seq" else longest)
        return Piece(begun, time.perf_counter(), len(batch) * NEW_TOKENS)


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    engine = Engine(*sys.argv[1:])
    obey({"best": engine.best, "run": engine.run, "texts": dict})
