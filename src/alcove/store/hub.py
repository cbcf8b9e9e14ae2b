"""The Hugging Face Hub, by huggingface_hub: what a repository holds, and its files, one by one, checked.

Called by `store/pull.py`. The address is HF_ENDPOINT's, the token HF_TOKEN's or that of `hf auth login`; it goes to the
Hub only, never to where the Hub redirects a download. Every failure is a `ModelLoadError`, one line with the remedy.
"""

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2  # huggingface_hub's HTTP client: its errors come through
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # exported when it is asked for

from alcove import __version__
from alcove.errors import ModelLoadError
from alcove.store.hub_refusals import refusals
from alcove.store.places import Reference
from alcove.store.progress import Count, Watcher

TRIES = 5
"""How often the Hub is asked what it holds, where it says that it is busy."""
LONGEST_WAIT_S = 300
"""A Hub that asks for more patience than this is not waited for."""
_BUSY = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What the Hub says of a file."""

    size: int | None
    """In bytes."""
    sha256: str | None
    """Of files in large storage."""
    git_sha1: str | None
    """Of the others: git's own hash, of a short header and the content."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository at a commit."""

    commit: str
    files: Mapping[str, RemoteFile]


class Hub:
    """A Hub, for one reference."""

    def __init__(self, reference: Reference, endpoint: str | None, watcher: Watcher) -> None:
        self._reference = reference
        self._endpoint = endpoint
        self._watcher = watcher
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # a cut connection is gone on with

    def snapshot(self) -> Snapshot:
        """The repository's files at the commit that the revision is now. Fetches none of them."""
        with refusals(self._reference):
            info = self._patiently()
        if info.sha is None:
            raise ModelLoadError(f"{self._reference.repo}: the Hub names no commit of it: try another revision")
        return Snapshot(info.sha, {file.rfilename: _remote(file) for file in info.siblings or ()})

    def fetch(self, name: str, commit: str, remote: RemoteFile, folder: Path, count: Count) -> None:
        """Write the file into `folder`, where it appears when it is whole and its hash is right. What a connection or
        process that broke off has left of it is gone on with."""
        target, incomplete = folder / name, folder / f"{name}.incomplete"
        if target.exists():
            return
        if incomplete.exists() and (remote.size is None or incomplete.stat().st_size > remote.size):
            incomplete.unlink()  # of no use, or nobody knows whether it is
        with refusals(self._reference):
            self._download(name, commit, remote, incomplete, count)
        if not _is(incomplete, remote):
            incomplete.unlink()
            raise ModelLoadError(
                f"{self._reference.repo}: {name} arrived with another content than the Hub names, and was deleted: the "
                "same command fetches it again"
            )
        incomplete.rename(target)

    def _download(self, name: str, commit: str, remote: RemoteFile, incomplete: Path, count: Count) -> None:
        headers = build_hf_headers(library_name="alcove", library_version=__version__)
        while True:
            with incomplete.open("ab") as file:
                start = file.tell()
                try:
                    http_get(
                        hf_hub_url(self._reference.repo, name, revision=commit, endpoint=self._endpoint),
                        file,
                        resume_size=start,
                        expected_size=remote.size,
                        headers=headers | {"Accept-Encoding": "identity"},  # a part of the bytes is a part of the file
                        displayed_filename=name,
                        tqdm_class=_counter(count),
                    )
                    return
                except httpx2.NetworkError:  # a reset connection; http_get goes on only where one was closed
                    if file.tell() <= start:
                        raise

    def _patiently(self) -> Any:
        for attempt in range(TRIES):
            try:
                return HfApi(endpoint=self._endpoint, library_name="alcove", library_version=__version__).model_info(
                    self._reference.repo,
                    revision=self._reference.revision,
                    files_metadata=True,
                    timeout=constants.DEFAULT_REQUEST_TIMEOUT,
                )
            except HfHubHTTPError as error:
                wait = _wait_s(error, attempt)
                if wait is None or attempt + 1 == TRIES:
                    raise
                self._watcher.says(f"The Hub is busy ({error.response.status_code}): asking again in {wait:.0f} s")
                time.sleep(wait)
        raise AssertionError("the last try raises")


def _wait_s(error: HfHubHTTPError, attempt: int) -> float | None:
    """Seconds before another try; None when none is worth while."""
    if error.response.status_code not in _BUSY:
        return None
    asked = error.response.headers.get("Retry-After", "")
    wait = float(asked) if asked.isdecimal() else 2.0**attempt
    return wait if wait <= LONGEST_WAIT_S else None


def _remote(file: RepoSibling) -> RemoteFile:
    return RemoteFile(file.size, file.lfs.sha256 if file.lfs else None, None if file.lfs else file.blob_id)


def _is(path: Path, remote: RemoteFile) -> bool:
    """Whether the file is what the Hub says, as far as it says anything."""
    size = path.stat().st_size
    if remote.size is not None and size != remote.size:
        return False
    if remote.sha256 is not None:
        return _hash(path, hashlib.sha256()) == remote.sha256
    if remote.git_sha1 is not None:
        return _hash(path, hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)) == remote.git_sha1
    return True


def _hash(path: Path, digest: "hashlib._Hash") -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: digest).hexdigest()


def _counter(count: Count) -> type[Any]:
    """What `http_get` takes for a progress bar: counts bytes, and shows nothing itself."""

    class Counter:
        def __init__(self, **options: Any) -> None:
            pass

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def update(self, number: int) -> None:
            count(number)

    return Counter
