"""A repository of the Hugging Face Hub -> a folder in the store. Called by `alcove pull`.

Only what serving needs is fetched, never pickled weights. Files arrive in a folder beside the final one, which gets
its name when all are there: what has a name is complete, and a pull that was cut keeps the files it has.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import httpx2  # huggingface_hub's HTTP client: its errors come through
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

from alcove.errors import ModelLoadError
from alcove.store.find import COMMIT, pulled_folder

_TEXTS = ("*.json", "*.txt", "*.jinja", "*.model", "*.spm", "*.vocab", "*.bpe")
"""Configuration, vocabularies, merges, SentencePiece models, chat templates."""
_SAFE_WEIGHTS = ("model.bin", "model.safetensors", "model-*.safetensors")
"""CTranslate2's and safetensors' weights: data, from which loading runs no code."""
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull did."""

    folder: Path
    """Where the model lies."""
    fetched: bool
    """False when it was there already, complete and at the same commit."""


def pull(repo: str, revision: str | None, home: Path, *, progress: bool = True, endpoint: str | None = None) -> Pulled:
    """Fetch a model. `progress` shows bars on standard error; `endpoint` is the address of another Hub, None is
    huggingface.co, or what HF_ENDPOINT says.

    A cut connection goes on within the file; a pull that has ended goes on with the files that are missing, since
    huggingface_hub 2.4 throws the rest of a half-fetched file away.

    Raises `ModelLoadError`, one line that names the repository and the remedy, when there is no such repository or
    revision, the Hub cannot be reached, or there are no weights that may be loaded.
    """
    folder = pulled_folder(repo, revision, home)
    partial = folder.with_name(folder.name + ".partial")
    (enable_progress_bars if progress else disable_progress_bars)()
    try:
        info = HfApi(endpoint=endpoint).model_info(repo, revision=revision)
        wanted = _wanted(repo, [file.rfilename for file in info.siblings or ()])
        if info.sha is None:
            raise ModelLoadError(f"{repo}: the Hub names no commit of it")
        if _commit_of(folder) == info.sha:
            return Pulled(folder, fetched=False)
        snapshot_download(repo, revision=info.sha, local_dir=partial, allow_patterns=wanted, endpoint=endpoint)
        _complete(partial, folder, keep={*wanted}, commit=info.sha)
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError, HfHubHTTPError) as error:
        raise ModelLoadError(_refusal(repo, revision, error)) from None
    except (httpx2.HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise ModelLoadError(f"{repo}: not fetched: {_first_line(error)}; the same command goes on") from None
    return Pulled(folder, fetched=True)


def _wanted(repo: str, files: Iterable[str]) -> list[str]:
    """The files to fetch: those of the top folder that serving needs. Raises `ModelLoadError` without safe weights."""
    top = [name for name in files if "/" not in name]
    weights = _matching(top, _SAFE_WEIGHTS)
    if weights:
        return weights + _matching(top, _TEXTS)
    if pickles := _matching(top, _PICKLES):
        raise ModelLoadError(
            f"{repo}: has only pickled weights ({pickles[0]}), and loading a pickle runs any code in it; "
            "take a repository or revision with safetensors"
        )
    raise ModelLoadError(f"{repo}: has no weights (model.bin or model.safetensors) in its top folder")


def _matching(names: Iterable[str], patterns: tuple[str, ...]) -> list[str]:
    return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]


def _commit_of(folder: Path) -> str | None:
    path = folder / COMMIT
    return path.read_text().strip() if path.is_file() else None


def _complete(partial: Path, folder: Path, keep: set[str], commit: str) -> None:
    """Give the folder its name, without what an earlier commit or huggingface_hub's own notes have left in it."""
    for path in partial.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in keep:
            path.unlink()
    if missing := keep - {path.name for path in partial.iterdir()}:
        raise ModelLoadError(f"{partial}: {min(missing)} did not arrive; the same command goes on")
    (partial / COMMIT).write_text(commit + "\n")
    if folder.exists():  # another commit: a folder cannot be replaced in one step
        old = folder.with_name(folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        partial.rename(folder)
        shutil.rmtree(old)
    else:
        partial.rename(folder)


def _refusal(repo: str, revision: str | None, error: Exception) -> str:
    match error:
        case GatedRepoError():
            return f"{repo}: access must be asked for on its page; then set HF_TOKEN to a token of your account"
        case RepositoryNotFoundError():
            return f"{repo}: no such repository on the Hub, or it is private (then set HF_TOKEN)"
        case RevisionNotFoundError():
            return f"{repo}: has no revision {revision!r}"
        case HFValidationError():
            return f"{repo}: not a repository's name; one looks like google/flan-t5-base"
        case _:
            return f"{repo}: the Hub refused: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    error = error.__cause__ if isinstance(error.__cause__, Exception) else error  # what huggingface_hub makes vague
    return (str(error).strip() or type(error).__name__).splitlines()[0]
