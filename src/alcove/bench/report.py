"""Figures -> rows of text for a person, and JSON for a program. Called by `cli/bench.py`, which prints them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from alcove import __version__
from alcove.bench.measured import Level, Outcome, Spread
from alcove.bench.run import Measured

_BUSY = 0.7
"""Part of a core from which on the client may be what is measured."""
_LATE_S = 0.05
_DIFFERENCES_SHOWN = 3


def table(measured: Measured) -> tuple[list[str], list[tuple[str, ...]]]:
    """Titles and rows: a column for each level, numbers to the right."""
    arriving = any(level.load.rate is not None for level in measured.levels)
    figures = {name: figure for name, figure in _FIGURES.items() if arriving or name != _LATE}
    columns = [
        [level.load.name, *(figure(measured, level) for figure in figures.values())] for level in measured.levels
    ]
    widths = [max(map(len, column)) for column in columns]
    lines = [
        tuple(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in zip(*columns, strict=True)
    ]
    return ["", *lines[0]], [(name, *line) for name, line in zip(figures, lines[1:], strict=True)]


def notes(measured: Measured) -> Iterator[str]:
    """What a person must know to read the figures: failures, differences, and where the client was the limit."""
    named = [(level.load.name, level) for level in measured.levels]
    for name, level in [("alone", measured.alone), *named] if measured.alone else named:
        assert level is not None
        yield from told(name, level)
    for found in measured.differences[:_DIFFERENCES_SHOWN]:
        yield f"{measured.levels[found.level].load.name}: a text differs from {_around(found.alone, found.under_load)}"
    if (more := len(measured.differences) - _DIFFERENCES_SHOWN) > 0:
        yield f"{more} more texts differ; --json has all of them"
    if any(level.counts_chunks for level in measured.levels):
        yield "the server does not count tokens: chunks are counted in their place"
    for name, level in named:
        if level.load.rate is not None and level.max_lateness_s > _LATE_S:
            yield f"{name}: requests were sent up to {time(level.max_lateness_s)} late, by this client"


def told(name: str, level: Level) -> Iterator[str]:
    """Of one level: how many requests failed for which reason, and whether the client was busy."""
    for reason, times in level.failures.most_common():
        yield f"{name}: {times} failed: {reason}"
    if level.cpu_share > _BUSY:
        yield f"{name}: this client used {level.cpu_share:.0%} of a core: it may be what limits the figures"


def as_json(measured: Measured, target: str, settings: Mapping[str, Any]) -> bytes:
    """Everything but the chunks' times and the texts that were right."""
    report = {
        "alcove": __version__,
        "target": target,
        "model": measured.model,
        "settings": settings,
        "levels": [_level(level, measured.wrong(level)) for level in measured.levels],
        "alone": None if measured.alone is None else _level(measured.alone, None),
        "differences": measured.differences,
    }
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def _wrong(measured: Measured, level: Level) -> str:
    wrong = measured.wrong(level)
    return "-" if wrong is None else f"{wrong:,}"


def _spread(value: Spread | None, *percents: str) -> str:
    return "-" if value is None else " / ".join(time(getattr(value, percent)) for percent in percents)


_LATE = "sent late, at most"
"""Of arrivals only."""
_FIGURES: Mapping[str, Callable[[Measured, Level], str]] = {
    "requests": lambda _, level: f"{len(level.outcomes):,}",
    "failed": lambda _, level: f"{level.failures.total():,}",
    "wrong texts": _wrong,
    "requests a second": lambda _, level: f"{level.requests_per_s:,.2f}",
    "output tokens a second": lambda _, level: f"{level.tokens_per_s:,.1f}",
    "first token, p50 / p95": lambda _, level: _spread(level.first_token_s, "p50", "p95"),
    "between chunks, p50 / p95": lambda _, level: _spread(level.gap_s, "p50", "p95"),
    "whole answer, p50 / p95": lambda _, level: _spread(level.latency_s, "p50", "p95"),
    "whole answer, p99": lambda _, level: _spread(level.latency_s, "p99"),
    _LATE: lambda _, level: time(level.max_lateness_s),
    "CPU of this client": lambda _, level: f"{level.cpu_s:.2f} s ({level.cpu_share:.0%})",
}


def time(seconds: float) -> str:
    """Seconds as a person reads them."""
    if seconds >= 10:
        return f"{seconds:.1f} s"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def _around(alone: str, under_load: str) -> str:
    """Both texts where they part, shortened."""
    pairs = zip(alone, under_load, strict=False)
    place = next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(alone), len(under_load)))
    start = max(place - 20, 0)
    one, other = (("..." if start else "") + text[start : place + 20] for text in (alone, under_load))
    return f"the one alone, at character {place}: {other!r} for {one!r}"


def _level(level: Level, wrong: int | None) -> dict[str, Any]:
    return {
        "clients": level.load.clients,
        "rate": level.load.rate,
        "requests": len(level.outcomes),
        "failed": level.failures.total(),
        "failures": level.failures,
        "wrong_texts": wrong,
        "span_s": level.span_s,
        "requests_per_s": level.requests_per_s,
        "completion_tokens": level.completion_tokens,
        "tokens_per_s": level.tokens_per_s,
        "tokens_are_chunks": level.counts_chunks,
        "first_token_s": level.first_token_s,
        "gap_s": level.gap_s,
        "latency_s": level.latency_s,
        "max_lateness_s": level.max_lateness_s,
        "client_cpu_s": level.cpu_s,
        "client_cpu_share": level.cpu_share,
        "outcomes": [_outcome(outcome) for outcome in level.outcomes],
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "sent_at": outcome.sent_at,
        "first_at": outcome.first_at,
        "ended_at": outcome.ended_at,
        "chunks": len(outcome.chunk_times),
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.completion_tokens,
        "error": outcome.error,
    }
