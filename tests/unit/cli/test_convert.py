"""`alcove convert`: what it says serves just what it has made, and `alcove init` writes the same."""

import tomllib
from collections.abc import Callable
from pathlib import Path

from alcove.config.settings import ModelSettings
from alcove.store.converted import serve_from

from .conftest import Ran


def test_what_it_says_serves_what_it_has_made(
    folder: Path, alcove: Callable[..., Ran], zoo: Callable[[str], Path], tmp_path: Path
) -> None:
    source = zoo("gpt2")
    ran = alcove("convert", str(source), "--quantization", "float32")
    assert ran.code == 0, ran.err
    made, hint = ran.out.splitlines()
    assert hint == f"Serve it with: alcove serve {source.resolve()} --engine ctranslate2 --compute-type float32"
    assert alcove("init").code == 0
    (model,) = tomllib.loads((folder / "alcove.toml").read_text())["model"]
    assert made == f"Converted to {serve_from(ModelSettings(**model), tmp_path / 'store')}"
    assert len(list((tmp_path / "store" / "converted").glob("[!.]*"))) == 1, "no second conversion was made"
