"""A model's source in the configuration -> the folder it lies in, without any network.

Called when a model is loaded. A source is written by whoever runs the server: a client's text never comes here.
"""

import logging
from os.path import expanduser
from pathlib import Path
from urllib.parse import quote

from alcove.config.settings import EngineName
from alcove.config.sources import BUILTIN
from alcove.errors import ModelLoadError

log = logging.getLogger(__name__)

PACKAGED = Path(__file__).parent.parent / "builtin"
"""The folder of the built-in models."""
COMMIT = ".commit"
"""File in a pulled folder that holds the commit it was pulled at; without it the folder is not complete."""


def find(source: str, revision: str | None, engine: EngineName, home: Path) -> Path:
    """The folder of a model.

    `source` is a folder; `builtin:NAME`, of which `engine` chooses the format; or a name like `org/model`, which is
    looked for among the pulled models in `home`, then in Hugging Face's own cache.
    Raises `ModelLoadError` when there is no such folder; the message says how to get it.
    """
    if source.startswith(BUILTIN):
        return _builtin(source.removeprefix(BUILTIN), engine)
    path = Path(expanduser(source))
    if path.is_dir():
        return path
    if path.is_absolute() or source.startswith("."):
        raise ModelLoadError(f"{path}: no such folder")
    pulled = pulled_folder(source, revision, home)
    if pulled.is_dir():
        return pulled
    if (cached := _in_hugging_face_cache(source, revision)) is not None:
        log.info("%s: taken from Hugging Face's cache", source)
        return cached
    command = f"alcove pull {source}" + (f" --revision {revision}" if revision else "")
    raise ModelLoadError(f"{source}: not a folder, and not pulled to this machine; get it with: {command}")


def pulled_folder(repo: str, revision: str | None, home: Path) -> Path:
    """Where a pulled model lies, whether or not it is there: `HOME/models/org/model`, with `@revision` if one is
    asked for."""
    return home / "models" / (f"{repo}@{quote(revision, safe='')}" if revision else repo)


def _builtin(name: str, engine: EngineName) -> Path:
    folder = PACKAGED / name
    names = sorted(path.name for path in PACKAGED.iterdir() if path.is_dir())
    if name not in names:
        raise ModelLoadError(f"{BUILTIN}{name}: no such built-in model; there are {', '.join(names)}")
    layout = folder / ("transformers" if engine == "transformers" else "ctranslate2")
    return layout if layout.is_dir() else folder


def _in_hugging_face_cache(repo: str, revision: str | None) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
