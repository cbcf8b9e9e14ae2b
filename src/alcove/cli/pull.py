"""`alcove pull`: a model from the Hub into the store, with bars or lines on the way."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from alcove.cli.transfers import watching
from alcove.config.load import home
from alcove.config.settings import EngineName

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def pull(repo: str, revision: str | None, engine: EngineName, quantization: str | None) -> None:
    """Fetch a model and say how to serve it. Raises `ModelLoadError`."""
    from alcove.store.pull import pull as pull_from_hub

    with interruptible(), watching() as watcher:
        pulled = pull_from_hub(
            repo, home(os.environ), revision=revision, engine=engine, quantization=quantization, watcher=watcher
        )
    if pulled.remark:
        typer.echo(pulled.remark)
    typer.echo(f"{'Pulled to' if pulled.fetched else 'Up to date:'} {pulled.folder}")
    name = repo if revision is None or "@" in repo else f"{repo}@{revision}"
    typer.echo(f"Serve it with: alcove serve {name}" + (" --engine transformers" if engine == "transformers" else ""))


@contextmanager
def interruptible() -> Iterator[None]:
    """Answer Ctrl-C with a line instead of a traceback: nothing half-made is left, and the same command goes on, or
    begins anew."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("\nalcove: stopped; the same command goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None
