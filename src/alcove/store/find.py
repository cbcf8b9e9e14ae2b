"""A model's source in the configuration -> the folder it lies in, without any network.

Called when a model is loaded. A source is written by whoever runs the server: a client's text never comes here.
"""

import logging
from os.path import expanduser, isdir
from pathlib import Path

from alcove.config.settings import EngineName
from alcove.config.sources import BUILTIN
from alcove.errors import ModelLoadError
from alcove.store.places import Reference, conversion, published

log = logging.getLogger(__name__)

PACKAGED = Path(__file__).parent.parent / "builtin"
"""The folder of the built-in models."""


def find(source: str, revision: str | None, engine: EngineName, home: Path) -> Path:
    """The folder of a model.

    `source` is a folder; `builtin:NAME`; or a name like `org/model` or `org/model@revision`, which is looked for among
    the pulled models in `home`, then in Hugging Face's own cache. Where a model is there in two layouts, `engine`
    chooses: `transformers` the published one, `auto` and `ctranslate2` the conversion.
    Raises `ModelLoadError` when there is no such folder; the message says how to get it.
    """
    if source.startswith(BUILTIN):
        return _builtin(source.removeprefix(BUILTIN), engine)
    path = Path(expanduser(source))
    if isdir(path):  # which a name of any length may be asked
        return path
    if path.is_absolute() or source.startswith("."):
        raise ModelLoadError(f"{path}: no such folder")
    try:
        reference = Reference.parse(source, revision)
    except ModelLoadError:
        raise ModelLoadError(f"{source}: neither a folder nor the name of a repository, like org/model") from None
    return _pulled(reference, engine, home)


def _pulled(reference: Reference, engine: EngineName, home: Path) -> Path:
    as_published, converted = published(reference, home), conversion(reference, home)
    if converted.is_dir() and engine != "transformers":
        return converted
    if as_published.is_dir():
        return as_published
    if (cached := _in_hugging_face_cache(reference)) is not None:
        log.info("%s: taken from Hugging Face's cache", reference)
        return cached
    if converted.is_dir():
        raise ModelLoadError(
            f"{reference}: only its conversion to CTranslate2 is on this machine; get the original with: "
            f"alcove pull {reference} --engine transformers"
        )
    raise ModelLoadError(
        f"{reference}: not a folder, and not pulled to this machine; get it with: alcove pull {reference}"
    )


def _builtin(name: str, engine: EngineName) -> Path:
    folder = PACKAGED / name
    names = sorted(path.name for path in PACKAGED.iterdir() if path.is_dir())
    if name not in names:
        raise ModelLoadError(f"{BUILTIN}{name}: no such built-in model; there are {', '.join(names)}")
    layout = folder / ("transformers" if engine == "transformers" else "ctranslate2")
    return layout if layout.is_dir() else folder


def _in_hugging_face_cache(reference: Reference) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(reference.repo, revision=reference.revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
