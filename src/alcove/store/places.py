"""Where things lie in the store: names are checked here, and nowhere else made into paths.

HOME/models/org/model[@revision]              a repository as it was published
HOME/models/org/model[@revision]+ctranslate2  its conversion
HOME/converted/NAME-DIGEST-QUANTIZATION       conversions of folders that lie elsewhere
HOME/models/.work, HOME/converted/.work       what is not complete, on its way in or out, and locks
"""

import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from filelock import FileLock, Timeout

from alcove.errors import ModelLoadError
from alcove.store.progress import Watcher

_REPO = re.compile(r"[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?", re.ASCII)
"""A part of a repository's name, as the Hub has them."""
_LONGEST_REVISION = 128
CONVERTED = "+ctranslate2"
"""End of the name of a repository's conversion; no name on the Hub holds a plus."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository of the Hub, with the revision that is asked for."""

    repo: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str, revision: str | None = None) -> Self:
        """`org/model` or `org/model@revision`, or the former and a revision beside it. Raises `ModelLoadError` for what
        is no repository's name."""
        repo, _, given = text.partition("@")
        parts = repo.split("/")
        if len(parts) > 2 or not all(_REPO.fullmatch(part) for part in parts) or "--" in repo or ".." in repo:
            raise ModelLoadError(f"{_shown(text)}: not a repository's name; one looks like google/flan-t5-base")
        if given and revision and given != revision:
            raise ModelLoadError(f"{_shown(text)}: names a revision, and another one is asked for: {_shown(revision)}")
        revision = given or revision
        if revision is not None and (len(revision) > _LONGEST_REVISION or not revision.isprintable()):
            raise ModelLoadError(f"{repo}: not a revision's name: {_shown(revision)}")
        return cls(repo, revision or None)

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}" if self.revision else self.repo

    @property
    def key(self) -> str:
        """The repository as one name; two repositories never have the same."""
        return self.repo.replace("/", "--")


def store_of(home: Path) -> Path:
    """The folder of the pulled models."""
    return home / "models"


def conversions_of(home: Path) -> Path:
    """The folder of the conversions of folders elsewhere."""
    return home / "converted"


def published(reference: Reference, home: Path) -> Path:
    """Where a repository lies as it was published, whether or not it is there."""
    revision = f"@{quote(reference.revision, safe='')}" if reference.revision else ""
    return store_of(home) / f"{reference.repo}{revision}"


def conversion(reference: Reference, home: Path) -> Path:
    """Where a repository's conversion lies, whether or not it is there."""
    folder = published(reference, home)
    return folder.with_name(folder.name + CONVERTED)


def work_of(store: Path) -> Path:
    """The folder for what has no name in `store` yet, or none any more; made if need be."""
    work = store / ".work"
    work.mkdir(parents=True, exist_ok=True)
    return work


@contextmanager
def alone(store: Path, key: str, what: str, watcher: Watcher) -> Iterator[None]:
    """Keep other processes from the same work as long as the block lasts; says so when it has to wait for one. The
    system drops the lock of a process that was killed."""
    lock = FileLock(work_of(store) / f"{key}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        watcher.says(f"Another process works on {what}: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def move_in(made: Path, folder: Path, store: Path) -> None:
    """Give the complete folder `made` its name in `store`; what has that name goes, as late as can be."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        old = put_aside(folder, store)
        made.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        made.rename(folder)


def put_aside(folder: Path, store: Path) -> Path:
    """Take a folder's name away from it, in one step; returns where it lies then, to be deleted."""
    aside = work_of(store) / f"{uuid.uuid4().hex}.old"
    folder.rename(aside)
    return aside


def sweep(store: Path, prefix: str) -> None:
    """Delete what killed processes have left of work whose names begin with `prefix`; for who holds its lock."""
    for path in work_of(store).iterdir():
        if path.is_dir() and (path.name.lstrip(".").startswith(prefix) or path.suffix == ".old"):
            shutil.rmtree(path, ignore_errors=True)


def _shown(text: str) -> str:
    return ascii(text[:100])[1:-1] if not text.isprintable() or len(text) > 100 else text
