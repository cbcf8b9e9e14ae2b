"""Tiny models of the families that alcove serves, made on the spot with random weights: nothing is downloaded.

`build(name, root)` writes the folder `root/name` as transformers would hold it on disk (float32 safetensors,
configurations, tokenizer files) and returns it. Taken by tests through the fixture `zoo`.
"""

from pathlib import Path
from typing import Any

from .families import FAMILIES
from .weights import save_weights

NAMES = tuple(FAMILIES)
"""Everything that `build` can make."""
SEQ2SEQ = tuple(name for name, family in FAMILIES.items() if family.kind == "seq2seq")
CAUSAL = tuple(name for name, family in FAMILIES.items() if family.kind == "causal")


def build(name: str, root: Path, variant: str = "", **changes: Any) -> Path:
    """Make the model once (the same bytes at every call, a second or two) and return its folder.

    `changes` are keys of its configuration that a test wants otherwise, in the folder `root/name-variant`.
    """
    folder = root / (f"{name}-{variant}" if variant else name)
    finished = folder / "model.safetensors"
    if not finished.exists():
        folder.mkdir(parents=True, exist_ok=True)
        family = FAMILIES[name]
        made = family.make(folder)
        config = made.config
        if changes:
            config = type(config)(**{**config.to_dict(), **family.config_file, **changes})
        save_weights(
            config,
            made.generation,
            folder,
            kind=family.kind,
            seed=family.seed,
            rare=made.rare,
            config_file=family.config_file,
        )
    return folder
