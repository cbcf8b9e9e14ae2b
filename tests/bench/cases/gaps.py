"""How evenly streams flow while the server is busy."""

import os

from tests.bench.child import child
from tests.bench.figures import Row, Theme, at_most, seconds
from tests.bench.served import serving
from tests.bench.setting import Setting
from tests.bench.workload import NEW_TOKENS, body, in_turns, sources

CLIENTS = 32
THEME = Theme(
    title="Streams under load",
    figure="gap p95, in steps",
    beside=("gap p50, p95, p99", "a step of the engine alone", "chunks an answer", "wrong texts"),
    how="The time between two chunks of an answer of 64 tokens, with 32 clients that stream, in steps of CTranslate2 "
    "alone: all its workers busy, each with its share of 32 rows, measured before and after the load.",
)


def gaps(setting: Setting) -> list[Row]:
    name = "T5 60M int8, 32 clients"
    folder = str(setting.model("t5-60m").ctranslate2)
    workers = len(os.sched_getaffinity(0))
    shares = {"rows": [CLIENTS // workers], "busy": [workers], "workers": workers}
    with child("tests.bench.direct", "seq2seq", folder) as alone, serving(folder, scratch=setting.scratch) as served:
        pool = sources(setting.pick(16, 8))
        setting.say(f"{name}: {len(pool)} requests alone")
        served.alone([body(text) for text in pool])
        requests = [body(text, streamed=True) for text in in_turns(pool, CLIENTS * setting.pick(10, 4))]
        setting.say(f"{name}: steps of the engine alone")
        before = alone.ask("times", **shares, repeats=3)
        setting.say(f"{name}: gaps between chunks")
        loaded = served.closed(requests, clients=CLIENTS)
        after = alone.ask("times", **shares, repeats=3)
    step = (before[0][3] + after[0][3]) / 2
    gap = loaded.level.gap_s
    assert gap
    chunks = sum(len(outcome.chunk_times) for outcome in loaded.level.answered) / len(loaded.level.answered)
    return [
        Row(
            what=name,
            value=gap.p95 / step,
            shown=f"{gap.p95 / step:.2f}",
            bar=at_most(2),
            beside=(
                f"{seconds(gap.p50)}, {seconds(gap.p95)}, {seconds(gap.p99)}",
                seconds(step),
                f"{chunks:.1f} of {NEW_TOKENS}",
                f"{loaded.wrong} of {loaded.compared}",
            ),
        )
    ]
