"""P6: what the server adds to a token, and how many it can send."""

import os

from tests.bench.cases import echo as benchmark
from tests.bench.figures import Row, at_most
from tests.bench.served import serving
from tests.bench.setting import Setting as Benchmark
from tests.bench.workload import body, in_turns
from tests.soak import rows
from tests.soak.setting import Setting
from tests.soak.watched import echo

STREAMS, TOKENS, STEP_S = 50, 128, 0.004
HOW = (
    f"{STREAMS} streams of the echo engine in two batches. Tokens a second are counted with steps of 4 ms, at which "
    "nearly each token is a chunk of its own. The time added is from the moment when the engine hands on a step of "
    "20 ms to the chunk's arrival at the client, as `make bench` measures it."
)


def measure(setting: Setting) -> list[Row]:
    quick = Benchmark(setting.scratch, setting.scratch, quick=setting.form != "full", say=setting.say)
    setting.say(f"P6: tokens a second, {STREAMS} streams")
    workers = len(os.sched_getaffinity(0))
    settings = setting.scratch / "overhead.toml"
    settings.write_text(echo("echo", f"delay_s = {STEP_S}", workers=workers))
    with serving(str(settings), scratch=setting.scratch) as served:
        pool = [f"{number:03d} {benchmark.TEXT * 4}"[:TOKENS] for number in range(setting.pick(4, 16, 16))]
        served.alone([body(text, TOKENS) for text in pool])
        requests = in_turns(pool, STREAMS * setting.pick(3, 10, 40))
        loaded = served.closed([body(text, TOKENS, streamed=True) for text in requests], clients=STREAMS)
    chunks = sum(len(outcome.chunk_times) for outcome in loaded.level.answered) / len(loaded.level.answered)
    timed, added, part = benchmark.time_added(quick)
    wrong = loaded.wrong + timed.level.failures.total()
    beside = f"of {part:.0%} of the answers, those with a chunk a token"
    return [
        Row(
            what="tokens a second",
            value=loaded.tokens_per_s,
            shown=f"{loaded.tokens_per_s:,.0f}",
            bar=setting.at_least_a_second(5_000),
            beside=(f"{chunks:.1f} chunks an answer of {TOKENS} tokens",),
        ),
        rows.time(setting, "time added to a token, p50", added.p50, 0.002, beside),
        rows.time(setting, "time added to a token, p99", added.p99, 0.02, beside),
        Row(
            what="wrong texts",
            value=wrong,
            shown=f"{wrong} of {len(loaded.level.outcomes) + len(timed.level.outcomes):,}",
            bar=at_most(0),
        ),
    ]
