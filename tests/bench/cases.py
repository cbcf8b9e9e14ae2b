"""What is measured: each function returns figures, none judges them."""

import asyncio
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import ctranslate2
import httpx

from tests.bench.models import NEW_TOKENS, prompt
from tests.serving import running

REQUESTS_A_CLIENT = 12
"""Many enough that a run's beginning and end, when not all clients are busy, weigh little."""


def _median(measure: Callable[[], None], times: int = 5) -> float:
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        measure()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def starts(root: Path) -> dict[str, float]:
    """Seconds of `alcove --help`, and from `alcove serve` with the built-in models to the first answer."""

    def show_help() -> None:
        subprocess.run([Path(sys.executable).parent / "alcove", "--help"], check=True, capture_output=True)

    def answer_once() -> None:
        with running("serve", cwd=root) as server:
            assert server.post("/completions", {"prompt": "What's a nice reptile?"}).status_code == 200
            ended.append(time.perf_counter())

    ended: list[float] = []
    helps = _median(show_help)
    first_answers = []
    for _ in range(3):
        begun = time.perf_counter()
        answer_once()
        first_answers.append(ended.pop() - begun)
    return {"alcove --help": helps, "alcove serve, to the first answer": statistics.median(first_answers)}


def direct(model: Path, batch: int) -> float:
    """Tokens a second of CTranslate2 alone, at the best of a few ways to use two cores."""
    return max(_direct(model, batch, workers) for workers in (1, 2))


def _direct(model: Path, batch: int, workers: int) -> float:
    translator = ctranslate2.Translator(str(model), inter_threads=workers, intra_threads=1, max_queued_batches=-1)
    sources = [[*prompt(number).split(), "</s>"] for number in range(batch)]
    size = -(-batch // workers)
    parts = [sources[start : start + size] for start in range(0, batch, size)]

    def translate(part: list[list[str]]) -> None:
        for _ in range(REQUESTS_A_CLIENT):
            results = translator.translate_batch(
                part, beam_size=1, max_decoding_length=NEW_TOKENS, min_decoding_length=0, max_input_length=0
            )
            assert all(len(result.hypotheses[0]) == NEW_TOKENS for result in results)

    translator.translate_batch(sources[:1], beam_size=1, max_decoding_length=4)
    threads = [threading.Thread(target=translate, args=(part,)) for part in parts]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return batch * REQUESTS_A_CLIENT * NEW_TOKENS / (time.perf_counter() - begun)


async def served(url: str, clients: int) -> float:
    """Tokens a second over HTTP, each client sending one request after the other."""
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=httpx.Limits(max_connections=clients)) as http:

        async def one(number: int) -> int:
            tokens = 0
            for round_ in range(REQUESTS_A_CLIENT):
                body = {"prompt": prompt(number * 100 + round_), "max_tokens": NEW_TOKENS}
                response = await http.post("/v1/completions", json=body)
                tokens += response.raise_for_status().json()["usage"]["completion_tokens"]
            return tokens

        await one(9999)
        begun = time.perf_counter()
        counts = await asyncio.gather(*(one(number) for number in range(clients)))
        seconds = time.perf_counter() - begun
    assert sum(counts) == clients * REQUESTS_A_CLIENT * NEW_TOKENS
    return sum(counts) / seconds


def kept_or_loaded(model: Path) -> dict[str, float]:
    """Seconds of one answer of 8 tokens, with the model kept in memory and with the model loaded for it."""
    source = [[*prompt(0).split(), "</s>"]]

    def load() -> ctranslate2.Translator:
        return ctranslate2.Translator(str(model), intra_threads=1)

    def answer(translator: ctranslate2.Translator) -> None:
        translator.translate_batch(source, beam_size=1, max_decoding_length=8)

    kept = load()
    return {"kept in memory": _median(lambda: answer(kept)), "loaded at each request": _median(lambda: answer(load()))}
