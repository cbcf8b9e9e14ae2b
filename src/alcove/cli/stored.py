"""Names that a person gives -> the models of the store that they mean. Called by `alcove remove` and `verify`."""

from collections.abc import Sequence
from pathlib import Path

from alcove.config.problems import nearest
from alcove.config.sources import BUILTIN
from alcove.store.listing import Listed, models


def stored(names: Sequence[str], home: Path) -> tuple[list[Listed], list[str]]:
    """The models of these names, of all of them where none is given, and a line for each name that there is not. A
    model that the store has in two layouts is there twice."""
    listed = [model for model in models(home) if not model.name.startswith(BUILTIN)]
    if not names:
        return listed, []
    known = {model.name for model in listed}
    problems = [
        f"{name}: comes with alcove and is not in the store"
        if name.startswith(BUILTIN)
        else f"{name}: not in the store; `alcove list` shows what is{nearest(name, known)}"
        for name in dict.fromkeys(names)
        if name not in known
    ]
    return [model for model in listed if model.name in names], problems
