"""Converts a float16 master to CTranslate2.

In: `transformers/` of a built-in model. Out: `ctranslate2/` beside it, int8, with the tokenizer's files.
"""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import load_file, save_file

from alcove.store.convert import convert


def convert_master(folder: Path) -> None:
    """Write the int8 conversion that is shipped, in place of an earlier one."""
    target = folder / "ctranslate2"
    if target.exists():
        shutil.rmtree(target)
    with TemporaryDirectory() as temporary:
        source = Path(temporary) / "float32"
        upcast(folder / "transformers", source)
        convert(source, target, "int8")


def upcast(source: Path, target: Path) -> None:
    """Copy a master with its weights in float32.

    CTranslate2 would keep what it does not quantize in float16, and warn at each load that a processor lacks it.
    """
    shutil.copytree(source, target)
    weights = {name: tensor.float() for name, tensor in load_file(source / "model.safetensors").items()}
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | {"dtype": "float32"}, indent=2, sort_keys=True) + "\n")
