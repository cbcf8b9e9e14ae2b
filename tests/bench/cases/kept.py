"""Why models stay in memory."""

import time
from collections.abc import Callable
from statistics import median

import ctranslate2

from tests.bench.figures import Row, Theme, seconds
from tests.bench.setting import Setting
from tests.bench.workload import token_lists

THEME = Theme(
    title="Kept in memory",
    figure="one answer, median",
    how="An answer of 8 tokens of T5 60M int8 by CTranslate2 alone, with the model kept in memory or loaded for it.",
)


def kept(setting: Setting) -> list[Row]:
    setting.say("in memory against loaded at each request")
    folder = str(setting.model("t5-60m").ctranslate2)
    source = token_lists("seq2seq", 1)

    def load() -> ctranslate2.Translator:
        return ctranslate2.Translator(folder, intra_threads=1)

    def answer(translator: ctranslate2.Translator) -> None:
        translator.translate_batch(source, beam_size=1, max_decoding_length=8)

    model = load()
    found = {"kept in memory": lambda: answer(model), "loaded at each request": lambda: answer(load())}
    times = {what: _median(measure) for what, measure in found.items()}
    return [Row(what=what, value=time_s, shown=seconds(time_s)) for what, time_s in times.items()]


def _median(measure: Callable[[], None]) -> float:
    times = []
    for _ in range(7):
        begun = time.perf_counter()
        measure()
        times.append(time.perf_counter() - begun)
    return median(times)
