"""`alcove pull` and `alcove list`: the models on this machine."""

import os
import signal
import sys
from types import FrameType

import typer

from alcove.cli.tables import show
from alcove.config.load import home
from alcove.store.listing import models


def pull(repo: str, revision: str | None) -> None:
    """Fetch a model and say how to serve it. Raises `ModelLoadError`."""
    from alcove.store.pull import pull as pull_from_hub

    signal.signal(signal.SIGINT, _stop)
    pulled = pull_from_hub(repo, revision, home(os.environ), progress=sys.stderr.isatty())
    typer.echo(f"{'Pulled to' if pulled.fetched else 'Up to date:'} {pulled.folder}")
    typer.echo(f"Serve it with: alcove serve {repo if revision is None else pulled.folder}")


def show_models() -> None:
    """Print what `alcove serve` can be given by name."""
    listed = models(home(os.environ))
    show(("Name", "Kind", "Folder"), [(model.name, model.kind, str(model.folder)) for model in listed])


def _stop(sig: int, frame: FrameType | None) -> None:
    # huggingface_hub downloads in threads that no KeyboardInterrupt reaches: Ctrl-C would wait for whole files.
    typer.echo("\nalcove: stopped; the same command goes on", err=True)
    os._exit(128 + sig)
