"""Trials -> the table of `alcove bench --tune`, and the lines for alcove.toml. Called by `cli/bench.py`."""

from collections.abc import Iterator, Sequence

from alcove.bench.measured import Level
from alcove.bench.report import time, told
from alcove.bench.tune import MAY_LOSE, Choice, Trial


def table(trials: Sequence[Trial], choice: Choice) -> tuple[list[str], list[tuple[str, ...]]]:
    """Titles and rows, a row for each pair."""
    many = trials[0].many.load.name
    titles = ["workers", "threads", "1 client: tokens/s", "first token", f"{many}: tokens/s", "first token", ""]
    rows: list[tuple[str, ...]] = [
        (str(trial.workers), str(trial.threads), *_cells(trial.one), *_cells(trial.many), _mark(trial, choice))
        for trial in trials
    ]
    return titles, rows


def advice(choice: Choice) -> Iterator[str]:
    """How the choice was made, and the lines for alcove.toml."""
    many = choice.many.many.load.name
    if choice.one is choice.many:
        yield f"The same pair is the best for 1 client and for {many}. In [[model]] of alcove.toml:"
        yield from _lines(choice.many)
    elif choice.agrees:
        yield f"The best for {many}, which loses no more than {MAY_LOSE:.0%} for 1. In [[model]] of alcove.toml:"
        yield from _lines(choice.many)
    else:
        yield f"The best for {many} loses more than {MAY_LOSE:.0%} for 1, so that it is yours to choose."
        yield f"In [[model]] of alcove.toml, for {many}:"
        yield from _lines(choice.many)
        yield "or for 1 client:"
        yield from _lines(choice.one)


def notes(trials: Sequence[Trial]) -> Iterator[str]:
    """Failures and differences, by pair."""
    for trial in trials:
        pair = f"{trial.workers} x {trial.threads}"
        for level in (trial.one, trial.many):
            yield from told(f"{pair}, {level.load.name}", level)
        if trial.differences:
            yield f"{pair}: {len(trial.differences)} texts of {trial.many.load.name} are not those of 1 client"


def _cells(level: Level) -> tuple[str, str]:
    first = level.first_token_s
    return f"{level.tokens_per_s:,.1f}", "-" if first is None else time(first.p50)


def _mark(trial: Trial, choice: Choice) -> str:
    best = [("1 client", choice.one), (choice.many.many.load.name, choice.many)]
    names = [name for name, chosen in best if chosen is trial]
    return f"best for {' and '.join(names)}" if names else ""


def _lines(trial: Trial) -> Iterator[str]:
    yield f"workers = {trial.workers}"
    yield f"threads = {trial.threads}"
