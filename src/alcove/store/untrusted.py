"""Refuses a model folder whose files reach out of it, would be imported, or make no sense, before any of it is loaded.

In goes a folder from anywhere, out comes nothing, or a `ModelLoadError` that names file, key and remedy. Called by
`store/recognise.py`, and so by whatever serves, checks or converts a folder. The layouts' files look at the weights.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from alcove.errors import ModelLoadError
from alcove.store.jsonfile import read_object
from alcove.store.repository import is_shard_name
from alcove.store.trust import refuse_code

MOST_FILES = 10_000
"""A model has dozens; a home folder has more."""
MAX_TEXT_BYTES = 16 * 1024 * 1024
"""Longest configuration or template; they have kilobytes."""
MAX_VOCABULARY_BYTES = 512 * 1024 * 1024
"""Longest vocabulary; the longest known have 40 MB."""
WEIGHTS_KEY = "transformers_weights"
"""Key of config.json by which transformers takes another file for the weights."""
CODE = (".py", ".pyc", ".pyd", ".so")
_TEXTS = (".json", ".jinja")
_VOCABULARIES = (
    *("tokenizer.json", "vocab.json", "vocabulary.json", "tekken.json", "added_tokens.json"),
    *(".txt", ".model", ".spm", ".vocab", ".bpe"),
)


def refuse_untrusted(folder: Path) -> None:
    """Raise `ModelLoadError` for the first thing in `folder` that alcove does not load."""
    files = list(_files(folder))
    for path in files:
        _check_length(path)
    for place in sorted({folder, *(path.parent for path in files)}):  # a `subfolder` leads below
        try:
            refuse_code(place)
        except RecursionError:
            raise ModelLoadError(f"{place}: a configuration is nested too deeply: fetch the model again") from None
    if not (folder / "model.bin").exists():  # CTranslate2 reads files of its own only
        for path in files:
            _check_python(path, folder)
            if path.name == "config.json":
                _check_weights_name(path)


def _files(folder: Path) -> Iterator[Path]:
    """All files that are not hidden, in order; each is within the folder, and an ordinary one."""
    count = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(place, name) for name in [*folders, *sorted(names)]):
            count += 1
            if count > MOST_FILES:
                raise ModelLoadError(f"{folder} has more than {MOST_FILES} files: name the folder of one model")
            if path.is_symlink():
                _check_link(path, folder)
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise ModelLoadError(f"{path} is a pipe or a device, not a file: remove it")
            if stat.S_ISREG(mode) and not path.name.startswith("."):
                yield path


def _check_link(path: Path, folder: Path) -> None:
    """A link stays in the folder; in Hugging Face's cache (`snapshots/COMMIT`) it leads to the repository's `blobs`."""
    home = Path(os.path.realpath(folder))
    inside = [home, *([home.parent.parent / "blobs"] if home.parent.name == "snapshots" else [])]
    target = Path(os.path.realpath(path))
    if not any(target.is_relative_to(place) for place in inside):
        raise ModelLoadError(f"{path} is a link to {target}, out of the model's folder: put the file itself there")
    if not target.exists():
        raise ModelLoadError(f"{path} is a link to {target}, which is missing: fetch the model again")


def _check_length(path: Path) -> None:
    """Texts are read whole, so their length is asked before."""
    vocabulary = path.name.endswith(_VOCABULARIES)
    most = MAX_VOCABULARY_BYTES if vocabulary else MAX_TEXT_BYTES if path.suffix in _TEXTS else None
    if most is not None and (size := path.stat().st_size) > most:
        raise ModelLoadError(f"{path} has {size} bytes, where at most {most} make sense: fetch the model again")


def _check_python(path: Path, folder: Path) -> None:
    """What transformers could import, at the top or as the model's own `generate`, and what makes it load another."""
    place = path.relative_to(folder).parts
    if path.suffix in CODE and (len(place) == 1 or place[0] == "custom_generate"):
        raise ModelLoadError(
            f"{path} is code beside a model, which alcove never runs: remove it if transformers has the model's family "
            "itself, else take another model"
        )
    if path.name == "adapter_config.json":
        raise ModelLoadError(f"{path}: an adapter loads another model beneath it: merge the two and serve the result")


def _check_weights_name(path: Path) -> None:
    name = read_object(path).get(WEIGHTS_KEY)
    if name is not None and not is_shard_name(str(name)):
        raise ModelLoadError(
            f"{path}: {WEIGHTS_KEY}: {str(name)[:100]!r} is no safetensors file beside it, and nothing else is loaded: "
            "remove the key"
        )
