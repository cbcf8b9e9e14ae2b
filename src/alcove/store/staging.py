"""A snapshot of a repository -> a complete folder under the store's `.work`, in three steps of growing size.

`store/pull.py` makes a `Staged` and takes its steps. What was fetched stays when one of them fails for the network's or
the disk's sake, and the next pull goes on with it; what is refused for its content is deleted.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.filesize import decimal

from alcove.config.settings import EngineName
from alcove.errors import ModelLoadError
from alcove.store.folder import ModelFolder
from alcove.store.hub import Hub, Snapshot
from alcove.store.jsonfile import read_object
from alcove.store.places import Reference, work_of
from alcove.store.progress import Watcher
from alcove.store.recognise import recognise
from alcove.store.repository import INDEX, shards, wanted
from alcove.store.tokenizers import FILE as TOKENIZER_FILE
from alcove.store.tokenizers import needs_transformers, tokenizer_json
from alcove.store.transformers_layout import kind_of
from alcove.store.trust import refuse_code
from alcove.store.vocabulary import check_rows


class Staged:
    """A repository on its way into the store."""

    def __init__(
        self, hub: Hub, snapshot: Snapshot, reference: Reference, engine: EngineName, store: Path, watcher: Watcher
    ) -> None:
        self._hub, self._snapshot, self._reference, self._watcher = hub, snapshot, reference, watcher
        self._wanted = wanted(reference.repo, snapshot.files, engine)
        self._fetched: set[str] = set()
        self.layout = self._wanted.layout
        self.path = work_of(store) / f"{reference.key}@{snapshot.commit}"
        """Where it lies until it is complete."""

    def configurations(self) -> str | None:
        """Fetch the small files that say what the model is; returns its family. Raises `ModelLoadError` when it asks
        for code, or is no model that can be served: nothing large has been fetched then."""
        self.path.mkdir(exist_ok=True)
        self._check_room((*self._wanted.configurations, *self._wanted.beside, *self._wanted.weights))
        self._fetch(self._wanted.configurations)
        with self._refusals():
            config = read_object(self.path / "config.json")
            if self.layout == "ctranslate2":
                return None
            tokenizer = {TOKENIZER_FILE} & {*self._wanted.beside}
            self._fetch(tokenizer)  # whether there is one decides what a tokenizer's configuration may ask for
            refuse_code(self.path)
            kind_of(self.path, config)
            return str(config["model_type"])

    def rest(self) -> ModelFolder:
        """Fetch everything else, and look at it. Raises `ModelLoadError` when it cannot be served."""
        weights = self._wanted.weights
        if INDEX in self._wanted.configurations:
            with self._refusals():
                index = read_object(self.path / INDEX)
                weights = shards(self._reference.repo, index, self._snapshot.files)
        self._fetch([*self._wanted.beside, *weights])
        self._drop_strangers()
        with self._refusals():
            folder = recognise(self.path)
            if folder.layout != self.layout:
                raise ModelLoadError(f"{self.path} holds a {folder.layout} model, which its file list does not show")
            if folder.layout == "transformers":
                check_rows(folder)
        return folder

    def complete_tokenizer(self, folder: ModelFolder) -> None:
        """Write a tokenizer.json where only transformers could read the tokenizer, and is there to do it."""
        if not needs_transformers(self.path, folder.model_type):
            return
        try:
            text = tokenizer_json(self.path, {})
        except ModelLoadError as error:
            self._watcher.says(str(error).replace(str(self.path), self._reference.repo))
            return
        (self.path / TOKENIZER_FILE).write_text(text, encoding="utf-8")
        self._watcher.says("Its tokenizer was converted to a tokenizer.json")

    def _fetch(self, names: Iterable[str]) -> None:
        missing = [name for name in names if name not in self._fetched]
        files = {name: self._snapshot.files[name] for name in missing}
        total = sum(file.size or 0 for file in files.values())
        done = sum(map(self._arrived, files))
        self._check_room(files)
        what = f"Fetching {len(files)} files, {decimal(total)}" if len(files) != 1 else f"Fetching {missing[0]}"
        if files:
            with self._watcher.part(what, total, done) as count:
                for name, file in files.items():
                    self._hub.fetch(name, self._snapshot.commit, file, self.path, count)
        self._fetched.update(files)

    def _arrived(self, name: str) -> int:
        """The bytes of a file that are there."""
        return _size(self.path / name) or _size(self.path / f"{name}.incomplete")

    def _check_room(self, names: Iterable[str]) -> None:
        missing = sum((self._snapshot.files[name].size or 0) - self._arrived(name) for name in names)
        free = shutil.disk_usage(self.path).free
        if missing > free:
            raise ModelLoadError(
                f"{self._reference.repo}: {decimal(missing)} are to be fetched, but {self.path.parent} has room for "
                f"{decimal(free)}: make room, or set ALCOVE_HOME to another disk"
            )

    def _drop_strangers(self) -> None:
        """Delete what an earlier pull for another engine has left."""
        for path in self.path.iterdir():
            if path.name not in self._fetched:
                path.unlink()

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Speak of the repository instead of a folder that nobody knows, and delete that."""
        try:
            yield
        except ModelLoadError as error:
            shutil.rmtree(self.path, ignore_errors=True)
            text = str(error).replace(f"{self.path}/", "").replace(str(self.path), "it")
            raise ModelLoadError(f"{self._reference.repo}: {text.removeprefix(f'{self._reference.repo}: ')}") from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
