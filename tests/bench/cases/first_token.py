"""How soon the first token comes when requests arrive at random, at 70 % of what the server can do."""

import os
from dataclasses import dataclass

from alcove.bench.load import arrivals
from alcove.bench.measured import Spread, spread
from tests.bench.child import child
from tests.bench.figures import Bar, Row, Theme, at_most, seconds
from tests.bench.served import Loaded, Served, configured, serving
from tests.bench.setting import Setting
from tests.bench.simulation import Service, first_tokens
from tests.bench.workload import body, in_turns, lengths, prompts, sources

LOAD = 0.7
THEME = Theme(
    title="First token",
    figure="ratio",
    beside=(
        "first token p50, p95", "compared with p50, p95", "alone p50", "capacity, arrivals a second", "wrong texts",
    ),
    how="Streamed requests for 8 to 128 tokens arrive at random (Poisson), at 70 % of the requests a second that the "
    "same server answers to 32 clients in a closed loop. The time is that from a request's arrival to its first "
    "token. Closed batches are held against a simulation of themselves (tests/bench/simulation.py): the same arrivals "
    "and lengths, with what encoding and steps of CTranslate2 alone take, measured just before, and HTTP, tokenizers "
    "and threads at no cost; the ratio is that of the 95th percentiles. An engine that schedules itself is held "
    "against the same requests one at a time; the ratio is the 95th percentile of each request's own.",
    causes="A queue magnifies small differences: at 70 % of capacity, batches that take 7 % longer than simulated (see "
    "above) make waits some 1.3 times as long, for a wait grows with load / (1 - load).",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arrived:
    """What was measured of one server."""

    alone: Loaded
    loaded: Loaded
    rate: float
    limits: list[int]

    def row(self, what: str, ratio: float, bar: Bar, compared: Spread) -> Row:
        found, alone = self.loaded.level.first_token_s, self.alone.level.first_token_s
        assert found
        assert alone
        return Row(
            what=what,
            value=ratio,
            shown=f"{ratio:.2f}",
            bar=bar,
            beside=(
                f"{seconds(found.p50)}, {seconds(found.p95)}",
                f"{seconds(compared.p50)}, {seconds(compared.p95)}",
                seconds(alone.p50),
                f"{self.rate / LOAD:.1f}, {self.rate:.1f}",
                f"{self.loaded.wrong} of {self.loaded.compared}",
            ),
        )


def closed_batches(setting: Setting) -> list[Row]:
    name = "T5 60M int8, closed batches"
    folder = str(setting.model("t5-60m").ctranslate2)
    workers = len(os.sched_getaffinity(0))  # what alcove takes for a model of this size
    setting.say(f"{name}: what encoding and steps take")
    with child("tests.bench.direct", "seq2seq", folder) as alone:
        rows, busy = [1, 2, 4, 8, 16, 32], sorted({1, workers})
        service = Service(alone.ask("times", rows=rows, busy=busy, workers=workers, repeats=setting.pick(3, 1)))
    with serving(folder, scratch=setting.scratch) as served:
        found = _arrive(
            setting,
            name,
            served,
            sources(setting.pick(24, 8)),
            alone_tokens=setting.pick(128, 16),
            capacity=setting.pick(320, 128),
            count=setting.pick(600, 200),
        )
    times = first_tokens(arrivals(len(found.limits), found.rate, 0), found.limits, service, workers=workers)
    measured, simulated = found.loaded.level.first_token_s, spread(times)
    assert measured
    assert simulated
    return [found.row(name, measured.p95 / simulated.p95, at_most(1.3), simulated)]


def continuous_batching(setting: Setting) -> list[Row]:
    name = "transformers, Llama 125M float32, continuous batching"
    folder = setting.model("llama-125m").transformers
    settings = configured(setting.scratch, str(folder), "{ continuous_batching = true }")
    with serving(settings, scratch=setting.scratch) as served:
        found = _arrive(
            setting,
            name,
            served,
            prompts(setting.pick(12, 4)),
            alone_tokens=setting.pick(32, 16),
            capacity=setting.pick(64, 40),
            count=setting.pick(70, 30),
        )
    idle = [outcome.first_at - outcome.sent_at for outcome in found.alone.level.outcomes if outcome.first_at]
    ratios = spread(
        (outcome.first_at - outcome.sent_at) / idle[number % len(idle)]
        for number, outcome in enumerate(found.loaded.level.outcomes)
        if outcome.first_at is not None
    )
    compared = spread(idle)
    assert ratios
    assert compared
    return [found.row(name, ratios.p95, at_most(3), compared)]


def _arrive(
    setting: Setting, name: str, served: Served, pool: list[str], *, alone_tokens: int, capacity: int, count: int
) -> Arrived:
    setting.say(f"{name}: {len(pool)} requests alone")
    served.alone([body(text, 8, streamed=True) for text in pool[:4]])  # warms up
    alone = served.alone([body(text, alone_tokens, streamed=True) for text in pool])
    limits = lengths(max(capacity, count))
    requests = [
        body(text, limit, streamed=True) for text, limit in zip(in_turns(pool, len(limits)), limits, strict=True)
    ]
    setting.say(f"{name}: capacity at 32 clients")
    level = served.closed(requests[:capacity], clients=32)
    rate = LOAD * level.tokens_per_s * capacity / sum(limits[:capacity])
    setting.say(f"{name}: {count} arrivals, {rate:.1f} a second")
    return Arrived(alone, served.arriving(requests[:count], rate=rate), rate, limits[:count])
