"""A repository of the Hugging Face Hub -> a model in the store. Called by `alcove pull`.

Decides what is to become of it: kept as it was published, or converted for CTranslate2. `store/staging.py` fetches it,
`store/convert.py` converts it, `store/sealing.py` gives it its name: what has a name is complete.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from huggingface_hub import constants

from alcove.config.settings import EngineName
from alcove.errors import ModelLoadError
from alcove.store.convert import NotConvertible, convert
from alcove.store.convertible import QUANTIZATION, check_quantization, why_not_family
from alcove.store.hub import Hub
from alcove.store.manifest import commit_of, read
from alcove.store.places import Reference, alone, conversion, published, store_of, sweep, work_of
from alcove.store.progress import Silent, Watcher
from alcove.store.recognise import recognise
from alcove.store.sealing import seal
from alcove.store.staging import Staged


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull did."""

    folder: Path
    """Where the model lies."""
    fetched: bool
    """False when it was there already, complete and at the same commit."""
    remark: str = ""
    """What was made of it and why, where there was a choice."""


def pull(
    name: str,
    home: Path,
    *,
    revision: str | None = None,
    engine: EngineName = "auto",
    quantization: str | None = None,
    watcher: Watcher | None = None,
    endpoint: str | None = None,
) -> Pulled:
    """Fetch the repository `name` (`org/model` or `org/model@revision`) into the store of `home`.

    `engine` says for whom: `transformers` keeps the original, `ctranslate2` converts it unless it was published in that
    layout, `auto` converts what can be, and keeps the rest. `quantization` is the conversion's type of weights.
    `endpoint` is the address of another Hub; None is huggingface.co, or what HF_ENDPOINT says.

    A pull that ended, however it did, is gone on with by the next. Raises `ModelLoadError`, one line that names the
    repository and the remedy.
    """
    reference = Reference.parse(name, revision)
    if quantization is not None:
        check_quantization(quantization)
        if engine == "transformers":
            raise ModelLoadError("--quantization is that of a conversion, which --engine transformers has none of")
        engine = "ctranslate2"
    watcher = watcher or Silent()
    try:
        with alone(store_of(home), reference.key, str(reference), watcher):
            return _Pull(reference, home, engine, quantization, watcher).run(endpoint)
    except OSError as error:
        raise ModelLoadError(f"{reference}: {error.filename or home} cannot be written: {error.strerror}") from None


class _Pull:
    """One pull, by the only process that works on this repository."""

    def __init__(
        self, reference: Reference, home: Path, engine: EngineName, quantization: str | None, watcher: Watcher
    ) -> None:
        self._reference, self._engine, self._watcher = reference, engine, watcher
        self._quantization = quantization
        self._store = store_of(home)
        self._published, self._converted = published(reference, home), conversion(reference, home)

    def run(self, endpoint: str | None) -> Pulled:
        hub = Hub(self._reference, endpoint, self._watcher)
        # offline, what is there is as good as the Hub's
        snapshot = None if constants.is_offline_mode() else hub.snapshot()
        at_hand = self._at_hand(lambda commit: snapshot is None or commit == snapshot.commit)
        if at_hand is not None:
            return at_hand
        snapshot = snapshot or hub.snapshot()
        staged = Staged(hub, snapshot, self._reference, self._engine, self._store, self._watcher)
        if staged.layout == "ctranslate2" and self._quantization:
            raise self._cannot_quantize()
        family = staged.configurations()
        reason = None if staged.layout == "ctranslate2" else self._why_not_converted(family)
        model = staged.rest()
        staged.complete_tokenizer(model)
        pulled = None
        if staged.layout == "transformers" and reason is None:
            pulled, reason = self._convert(staged.path, snapshot.commit)
        if pulled is None:
            self._seal(staged.path, self._published, snapshot.commit)
            told = reason is not None and self._engine == "auto"
            pulled = Pulled(self._published, True, f"Kept as it is, for transformers: {reason}" if told else "")
        sweep(self._store, f"{self._reference.key}@")
        return pulled

    def _at_hand(self, is_current: Callable[[str | None], bool]) -> Pulled | None:
        """What need not be fetched: a conversion, what was published, or the former made of the latter."""
        manifest = read(self._converted)
        wanted = manifest is not None and self._quantization in (None, manifest.quantization)
        if manifest and wanted and is_current(manifest.commit) and self._engine != "transformers":
            return Pulled(self._converted, False)
        commit = commit_of(self._published, read(self._published))
        if commit is None or not is_current(commit):
            return None
        model = recognise(self._published)
        if model.layout == "ctranslate2":
            if self._quantization:
                raise self._cannot_quantize()
            return Pulled(self._published, False) if self._engine != "transformers" else None
        if self._engine != "transformers" and self._why_not_converted(model.model_type) is None:
            converted, _ = self._convert(self._published, commit)
            if converted is not None:
                return converted
        return Pulled(self._published, False)

    def _why_not_converted(self, family: str | None) -> str | None:
        """Why a transformers model of this family stays what it is; None when it is converted. Raises `ModelLoadError`
        where a conversion was asked for and cannot be had."""
        if self._engine == "transformers":
            return "asked for by --engine"
        missing = next((name for name in ("torch", "transformers") if find_spec(name) is None), None)
        reason = why_not_family(family)
        if reason is None and missing:
            reason = f"{missing} is needed to convert it: pip install 'alcove[convert]', and pull again"
        elif missing:
            reason = f"{reason}; to serve it: pip install 'alcove[transformers]'"
        if reason and self._engine == "ctranslate2":
            raise ModelLoadError(f"{self._reference}: not converted to CTranslate2: {reason}")
        return reason

    def _convert(self, source: Path, commit: str | None) -> tuple[Pulled | None, str | None]:
        """The conversion of `source`, or the reason why there is none; raises it where one was asked for."""
        quantization = self._quantization or QUANTIZATION
        sweep_prefix = f"{self._reference.key}@converted"
        sweep(self._store, sweep_prefix)
        made = work_of(self._store) / sweep_prefix
        try:
            convert(source, made, quantization, self._watcher)
        except NotConvertible as error:
            reason = str(error).replace(str(source), "it").removeprefix("it ")
            if self._engine == "ctranslate2":
                raise ModelLoadError(f"{self._reference}: {reason}") from None
            return None, reason
        self._seal(made, self._converted, commit, quantization)
        remark = f"Converted to {quantization} for CTranslate2, which runs it faster and in less memory"
        if self._engine == "auto":
            remark += "; --engine transformers keeps the original"
        return Pulled(self._converted, True, remark), None

    def _seal(self, made: Path, folder: Path, commit: str | None, quantization: str | None = None) -> None:
        seal(
            made,
            folder,
            self._store,
            self._watcher,
            source=self._reference.repo,
            revision=self._reference.revision,
            commit=commit,
            quantization=quantization,
        )

    def _cannot_quantize(self) -> ModelLoadError:
        return ModelLoadError(
            f"{self._reference}: is published in CTranslate2's layout, its weights as they are: leave --quantization "
            "out (compute_type chooses when it is served)"
        )
