"""`alcove bench`: options -> a loaded server -> tables, files and an exit code. Called by `cli/commands`."""

import asyncio
import os
import signal
from collections.abc import Coroutine, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import typer

from alcove.bench import plot, report, tune_report
from alcove.bench.plan import Plan
from alcove.bench.run import measure
from alcove.bench.server import Server
from alcove.bench.target import serving
from alcove.bench.tune import choose, tune
from alcove.cli.progress import watched
from alcove.cli.tables import show
from alcove.errors import ConfigurationError

_Result = TypeVar("_Result")
_URLS = ("http://", "https://")


def bench(
    target: str, plan: Plan, *, tuning: bool, key_env: str, json_file: Path | None, plot_file: Path | None
) -> None:
    """Measure, print, write. Exits with 1 when a request failed or a text was wrong.

    Raises `ConfigurationError`, and `ModelLoadError` when a model's server does not start.
    """
    _check_files(json_file, plot_file)
    if tuning and (json_file or plot_file):
        raise ConfigurationError("--tune prints a table only: leave out --json and --plot")
    if tuning and any(load.rate for load in plan.loads):
        raise ConfigurationError("--tune compares 1 client with many, by default 32: give --clients, not --rate")
    if tuning and target.startswith(_URLS):
        raise ConfigurationError("--tune starts servers of its own: name a model, not a URL")
    signal.signal(signal.SIGTERM, _stop)
    try:
        sound = (
            _tune(target, plan)
            if tuning
            else _measure(target, plan, os.environ.get(key_env, "").strip(), json_file, plot_file)
        )
    except KeyboardInterrupt:
        typer.echo("\nalcove: stopped", err=True)
        raise typer.Exit(128 + signal.SIGINT) from None
    raise typer.Exit(0 if sound else 1)


def _measure(target: str, plan: Plan, key: str, json_file: Path | None, plot_file: Path | None) -> bool:
    with _server(target, key) as server, watched() as watcher:
        measured = _run(measure(server, plan, watcher))
    show(*report.table(measured))
    _echo(report.notes(measured))
    if json_file is not None:
        json_file.write_bytes(report.as_json(measured, target, asdict(plan)))
    if plot_file is not None:
        plot.plot(measured.levels, f"{measured.model} at {target}", plot_file)
    return measured.sound


def _tune(target: str, plan: Plan) -> bool:
    with watched() as watcher:
        trials = tune(target, plan, watcher, _run)
    choice = choose(trials)
    show(*tune_report.table(trials, choice))
    _echo(tune_report.notes(trials))
    _echo(["", *tune_report.advice(choice)])
    return all(trial.sound for trial in trials)


def _server(target: str, key: str) -> AbstractContextManager[Server]:
    return nullcontext(Server.at(target, key)) if target.startswith(_URLS) else serving(target)


def _run(work: Coroutine[Any, Any, _Result]) -> _Result:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.run(work)
    return uvloop.run(work)


def _check_files(json_file: Path | None, plot_file: Path | None) -> None:
    """What cannot be written is said before the load, not after."""
    for option, path in (("--json", json_file), ("--plot", plot_file)):
        if path is not None and not path.absolute().parent.is_dir():
            raise ConfigurationError(f"{option}: {path}: there is no such folder")
    if plot_file is not None:
        plot.check(plot_file)


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


def _stop(*_: object) -> None:
    # SIGTERM would end the process as it stands, and leave the server that it started.
    raise SystemExit(128 + signal.SIGTERM)
