"""What all of alcove but the weights can do: the echo engine behind HTTP."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

from alcove.bench.measured import Spread, spread
from tests.bench.figures import Row, Theme, at_least, at_most, seconds
from tests.bench.rival import cpu
from tests.bench.served import Loaded, Served, serving
from tests.bench.setting import REPOSITORY, Setting
from tests.bench.workload import Body, body, in_turns

STREAMS = 50
DELAYS_S = (0.008, 0.006, 0.004, 0.003, 0.002, 0.0015, 0.001)
SINGLE = 0.98
"""Part of the tokens that must have come in a chunk of their own to say: a chunk a token."""
TEXT = "The quick brown fox jumps over the lazy dog. "
THEME = Theme(
    title="HTTP, without weights",
    figure="figure",
    beside=("chunks an answer", "wrong texts", "CPU: clients, server"),
    how="The echo engine answers each prompt with itself, a byte a token, in two workers where there are streams. With "
    "no delay, what piles up is sent as one chunk; for a chunk a token the engine waits at each step, as briefly as "
    "leaves 98 % of the tokens in a chunk of their own. The added time is from the moment when the engine hands on a "
    "step, on the clock that all processes share, to the chunk's arrival at the client; it is the same engine with a "
    "note taken at each step (tests/bench/timed_echo.py). Rates are medians of three runs.",
)  # fmt: skip


def echo(setting: Setting) -> list[Row]:
    models = {"piled": 0.0, **{f"step-{delay}": delay for delay in DELAYS_S}}
    with _echoes(setting, models) as served:
        setting.say("echo: whole requests at 32 clients")
        whole = _thrice(setting, served.of("echo"), 32, setting.pick(6400, 3200), 16, streamed=False)
        setting.say(f"echo: {STREAMS} streams, steps piled up")
        piled = _thrice(setting, served.of("piled"), STREAMS, STREAMS * setting.pick(20, 10), 256)
        delay, single = _quickest_single(setting, served)
        if single is not None:
            single = _thrice(setting, served.of(f"step-{delay}"), STREAMS, STREAMS * setting.pick(8, 4), 128)
    rows = [
        _rate("Whole requests a second, 32 clients, 16 tokens", whole, 1_500, lambda run: run.level.requests_per_s),
        _rate(f"Tokens a second, {STREAMS} streams, piled up", piled, 15_000, lambda run: run.tokens_per_s),
    ]
    what = f"Tokens a second, {STREAMS} streams, a chunk a token"
    if single is None:
        none = Row(what=what, value=None, shown="never", bar=at_least(6_000), beside=("",) * len(THEME.beside))
        rows.append(none)
    else:
        rows.append(_rate(f"{what} (steps of {seconds(delay)})", single, 6_000, lambda run: run.tokens_per_s))
    return [*rows, _added_row(setting)]


def _quickest_single(setting: Setting, served: Served) -> tuple[float, list[Loaded] | None]:
    """The shortest delay with a chunk a token; None if there is none."""
    found: tuple[float, list[Loaded] | None] = (DELAYS_S[0], None)
    for delay in DELAYS_S:
        setting.say(f"echo: {STREAMS} streams, steps of {seconds(delay)}")
        run = _run(served.of(f"step-{delay}"), STREAMS, STREAMS * 3, 64)
        if _chunks(run) < SINGLE * 64:
            break
        found = delay, [run]
    return found


def _added_row(setting: Setting) -> Row:
    """The time that alcove adds to a token."""
    loaded, added, part = time_added(setting)
    return Row(
        what=f"Time added to a token, {STREAMS} streams of 50 tokens a second, p50",
        value=added.p50 * 1000,
        shown=f"{seconds(added.p50)} <sub>p95 {seconds(added.p95)}, {part:.0%} of answers</sub>",
        bar=at_most(2),
        beside=(f"{_chunks(loaded):.1f} of 50", "", cpu([loaded])),
    )


def time_added(setting: Setting) -> tuple[Loaded, Spread, float]:
    """The load, the times from step to chunk of the answers that came in a chunk a token, and how many of all these
    are."""
    setting.say(f"echo: {STREAMS} streams of 50 tokens a second, time added")
    notes = setting.scratch / "steps.jsonl"
    requests = [body(f"{number:05d} {TEXT * 2}", 50, streamed=True) for number in range(STREAMS * setting.pick(8, 4))]
    answers: list[float] = []
    environment = {"PYTHONPATH": str(REPOSITORY), "TIMED_ECHO": str(notes)}
    with _echoes(setting, {"slow": 0.02}, module="tests.bench.timed_echo", **environment) as server:
        served = server.of("slow")
        served.alone([body(TEXT, 16, streamed=True)] * 4)
        loaded = served.closed(requests, clients=STREAMS, on_answer=lambda: answers.append(perf_counter()))
    # the level's beginning on the clock, or a little later: no answer was seen before it had ended
    ends = sorted(outcome.ended_at for outcome in loaded.level.outcomes)
    begun = min(seen - end for seen, end in zip(sorted(answers), ends, strict=True))
    return loaded, *_added(loaded, begun, requests, notes)


def _added(loaded: Loaded, begun: float, requests: Sequence[Body], notes: Path) -> tuple[Spread, float]:
    made: dict[str, list[float]] = {}
    for line in notes.read_text().splitlines():
        prompts, times = json.loads(line)
        made.update(dict.fromkeys(prompts, times))
    single = [
        (made[request["prompt"]], outcome.chunk_times)
        for request, outcome in zip(requests, loaded.level.outcomes, strict=True)
        if len(outcome.chunk_times) == request["max_tokens"]
    ]
    added = spread(begun + chunk - step for steps, chunks in single for step, chunk in zip(steps, chunks, strict=True))
    assert added, "no answer came in a chunk a token"
    return added, len(single) / len(requests)


@contextmanager
def _echoes(
    setting: Setting, delays: Mapping[str, float], module: str = "alcove", **environment: str
) -> Iterator[Served]:
    """A server with an echo model for each delay, and one with nothing set."""
    workers = len(os.sched_getaffinity(0))  # as many as a small model gets
    lines = ['[[model]]\nname = "echo"\nsource = "builtin:echo"\ndefault = true\n']
    for name, delay in delays.items():
        lines.append(f'[[model]]\nname = "{name}"\nsource = "builtin:echo"\nworkers = {workers}\n')
        lines.append(f"engine_options = {{ delay_s = {delay} }}\n")
    settings = setting.scratch / "echo.toml"
    settings.write_text("".join(lines))
    with serving(str(settings), scratch=setting.scratch, module=module, **environment) as served:
        yield served


def _thrice(
    setting: Setting, served: Served, clients: int, count: int, tokens: int, *, streamed: bool = True
) -> list[Loaded]:
    return [_run(served, clients, count, tokens, streamed=streamed) for _ in range(setting.pick(3, 1))]


def _run(served: Served, clients: int, count: int, tokens: int, *, streamed: bool = True) -> Loaded:
    pool = [f"{number:03d} {TEXT * (1 + tokens // len(TEXT))}"[: max(tokens, 24)] for number in range(16)]
    served.of("echo").alone([body(text, tokens) for text in pool])
    requests = [body(text, tokens, streamed=streamed) for text in in_turns(pool, count)]
    served.closed(requests[:4], clients=4)  # warms up
    return served.closed(requests, clients=clients)


def _rate(what: str, runs: Sequence[Loaded], bar: float, figure: Callable[[Loaded], float]) -> Row:
    figures = [figure(run) for run in runs]
    shown = f"{median(figures):,.0f}"
    if len(figures) > 1:
        shown += f" <sub>{min(figures):,.0f} to {max(figures):,.0f}</sub>"
    chunks = _chunks(runs[0])
    return Row(
        what=what,
        value=median(figures),
        shown=shown,
        bar=at_least(bar),
        beside=(
            f"{chunks:.1f} of {runs[0].level.answered[0].tokens}" if chunks else "",
            f"{sum(run.wrong for run in runs)} of {sum(run.compared for run in runs)}",
            cpu(runs),
        ),
    )


def _chunks(run: Loaded) -> float:
    return sum(len(outcome.chunk_times) for outcome in run.level.answered) / len(run.level.answered)
