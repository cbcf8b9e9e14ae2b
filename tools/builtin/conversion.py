"""Converts a float16 master to CTranslate2.

In: `transformers/` of a built-in model. Out: `ctranslate2/` beside it, int8, with the tokenizer's files.
"""

import shutil
from pathlib import Path

from alcove.store.convert import convert


def convert_master(folder: Path) -> None:
    """Write the int8 conversion that is shipped, in place of an earlier one."""
    target = folder / "ctranslate2"
    if target.exists():
        shutil.rmtree(target)
    convert(folder / "transformers", target, "int8")
