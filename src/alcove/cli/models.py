"""`alcove pull` and `alcove list`: the models on this machine."""

import os
import sys

from rich.console import Console

from alcove.cli.tables import show
from alcove.config.load import home
from alcove.store.listing import models


def pull(repo: str, revision: str | None) -> None:
    """Fetch a model and say how to serve it. Raises `ModelLoadError`."""
    from alcove.store.pull import pull as pull_from_hub

    pulled = pull_from_hub(repo, revision, home(os.environ), progress=sys.stderr.isatty())
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{'Pulled to' if pulled.fetched else 'Up to date:'} {pulled.folder}", markup=False)
    console.print(f"Serve it with: alcove serve {repo if revision is None else pulled.folder}", markup=False)


def show_models() -> None:
    """Print what `alcove serve` can be given by name."""
    listed = models(home(os.environ))
    show(("Name", "Kind", "Folder"), [(model.name, model.kind, str(model.folder)) for model in listed])
