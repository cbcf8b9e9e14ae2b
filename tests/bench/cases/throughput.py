"""Tokens a second through HTTP, against the engine alone."""

from tests.bench.child import child
from tests.bench.figures import Row, Theme, at_least
from tests.bench.rival import BESIDE, rivals
from tests.bench.setting import Setting

THEME = Theme(
    title="Throughput",
    figure="ratio",
    beside=BESIDE,
    how="64 new tokens a request. The engine's library is called directly, in a process of its own and without a "
    "callback, with as many prompts at once as there are clients, in the best of the ways to share them out among "
    "workers, threads and batches; it and the server take turns, and the ratio is the median of those of neighbours "
    "(in small print the lowest and the highest). The server runs with its defaults. Tokens are counted while all "
    "clients, or all workers of the engine alone, are busy. A text is wrong if it is not what the same request got "
    "alone from alcove, or if the request failed; CTranslate2 itself rounds differently when prompts of different "
    "lengths share a batch, which the last column shows. The CPU seconds of the clients are taken from the same cores "
    "as the server's; the engine alone has no clients.",
    causes="Where it goes, by traces of batches, py-spy and counters of processor time and page faults, for "
    "T5 of 60M, where it is widest: a batch of 16 takes 2 to 7 % longer than alone, for the callback of its steps (1.5 "
    "%), HTTP, tokenizing and the clients (2 to 3 % of two cores that are full), and memory that is returned and "
    "taken again (1 %); between two batches a worker waits 10 to 15 ms for the clients that it has just answered (2 "
    "%). Streams add 2,500 writes a second, each of which stops a worker for a moment (14,000 switches in 6 s). Llama "
    "in int8 by default puts prompts of equal lengths together only, since an answer may depend on its company "
    "otherwise, and lengths from 20 to 200 seldom meet; `mixed_lengths` allows it.",
)


def t5_223m(setting: Setting) -> list[Row]:
    turns, trial = setting.pick(3, 1), 1
    with rivals(setting, "t5-223m", "seq2seq", "T5 223M int8", 16) as rival:
        rival.learn(setting.pick(16, 2))
        rounds = setting.pick(6, 4)
        one = rival.compare(1, {"whole": at_least(0.95)}, turns=turns, rounds=rounds, trial=3, direct=rounds)
        bars = {"whole": at_least(0.93), "streamed": at_least(0.90)}
        rounds = setting.pick(4, 3)
        many = rival.compare(32, bars, turns=turns, rounds=rounds, trial=trial, direct=rounds)
    return [row for row, _ in (*many.values(), *one.values())]


def t5_60m(setting: Setting) -> list[Row]:
    turns = setting.pick(3, 1)
    with rivals(setting, "t5-60m", "seq2seq", "T5 60M int8", 32) as rival:
        rival.learn(setting.pick(32, 8))
        one = rival.compare(1, {"whole": at_least(0.90)}, turns=turns, rounds=12, trial=8, direct=12)
        some = rival.compare(8, {"whole": None, "streamed": None}, turns=1, rounds=8, trial=2, direct=8)
        bars = {"whole": at_least(0.90), "streamed": at_least(0.80)}
        rounds = setting.pick(8, 6)
        many = rival.compare(32, bars, turns=turns, rounds=rounds, trial=setting.pick(3, 1), direct=rounds)
    (row, alone), (_, together) = one["whole"], many["whole"]
    scaling = Row(
        what="T5 60M int8: alcove at 32 clients against itself at one",
        value=together / alone,
        shown=f"{together / alone:.1f}",
        bar=at_least(8),
        beside=(f"{alone:,.0f}", f"{together:,.0f}", *("",) * (len(BESIDE) - 2)),
    )
    return [*(row for row, _ in (*many.values(), *some.values())), row, scaling]


def llama_125m(setting: Setting) -> list[Row]:
    """As it is, and where rounding by company is allowed, as the engine's best grouping does it."""
    name = "Llama 125M int8, prompts of 20 to 200"
    rows: list[Row] = []
    with child("tests.bench.direct", "causal", str(setting.model("llama-125m").ctranslate2)) as alone:
        for about, options in ((name, ""), (f"{name}, mixed_lengths", "{ mixed_lengths = true }")):
            with rivals(setting, "llama-125m", "causal", about, 32, options=options, alone=alone) as rival:
                rival.learn(setting.pick(16, 4))
                turns, rounds = (setting.pick(3, 1), setting.pick(4, 3)) if options else (1, 3)  # slow without
                bars, direct = {"whole": at_least(0.85)}, setting.pick(3, 2)
                found = rival.compare(32, bars, turns=turns, rounds=rounds, trial=1, direct=direct)
            rows += [row for row, _ in found.values()]
    return rows


def transformers_t5(setting: Setting) -> list[Row]:
    with rivals(setting, "t5-60m", "seq2seq", "transformers, T5 60M float32", 16, torch=True) as rival:
        rival.learn(setting.pick(8, 2))
        bars, rounds = {"whole": at_least(0.90)}, setting.pick(5, 4)
        found = rival.compare(16, bars, turns=setting.pick(3, 1), rounds=rounds, trial=1, direct=setting.pick(3, 2))
    return [row for row, _ in found.values()]


def transformers_llama(setting: Setting) -> list[Row]:
    name = "transformers, Llama 125M float32, prompts of 20 to 200"
    with rivals(setting, "llama-125m", "causal", name, 16, torch=True) as rival:
        rival.learn(setting.pick(8, 2))
        bars, rounds = {"whole": at_least(0.90)}, setting.pick(5, 3)
        found = rival.compare(16, bars, turns=setting.pick(2, 1), rounds=rounds, trial=1, direct=setting.pick(2, 1))
    return [row for row, _ in found.values()]
