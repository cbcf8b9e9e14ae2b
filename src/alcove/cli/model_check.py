"""One model's settings -> what would keep it from being served, a line each, found without loading it.

Called by `cli/check.py`. What a folder holds is read from its configuration and headers.
"""

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from alcove.cli.option_check import wrong_engine_options, wrong_generation
from alcove.config.problems import NEAR_PATH, nearest
from alcove.config.settings import ModelSettings
from alcove.config.sources import nearest_path
from alcove.engines.offered import COMPUTE_TYPES, DEVICES, PACKAGES
from alcove.errors import ModelLoadError
from alcove.pipeline.prompts.prompter import text_of
from alcove.pipeline.prompts.template import ChatTemplate
from alcove.store.convertible import why_not_family
from alcove.store.find import find
from alcove.store.folder import ModelFolder
from alcove.store.listing import models
from alcove.store.recognise import recognise


class ModelCheck:
    """Looks at one model. `origin` tells where a field's value came from, in words that begin a line."""

    def __init__(self, settings: ModelSettings, origin: Callable[[str], str], home: Path) -> None:
        self._settings = settings
        self._origin = origin
        self._home = home

    def problems(self) -> Iterator[str]:
        """All that is wrong. Where the folder cannot be read, what only it could tell is left out."""
        settings = self._settings
        folder: ModelFolder | None = None
        try:
            folder = recognise(find(settings.source, settings.revision, settings.engine, self._home), settings.task)
        except ModelLoadError as error:
            yield f"{self._origin('source')}: {error}{self._nearest_source()}"
        engine: str | None = settings.engine
        if engine == "auto":
            engine = folder.layout if folder else None
        if folder is not None:
            yield from self._wrong_engine(folder)
        yield from self._wrong_places(engine)
        if engine is not None:
            kind = folder.kind if folder else "seq2seq"
            yield from wrong_generation(settings.generation, engine, kind, self._origin("generation"))
            yield from wrong_engine_options(settings.engine_options, engine, folder, self._origin("engine_options"))
        yield from self._wrong_template(folder)

    def _nearest_source(self) -> str:
        source = self._settings.source
        if source.startswith((".", "~")) or Path(source).is_absolute():
            return nearest_path(source, Path.cwd())
        return nearest(source, (model.name for model in models(self._home)), NEAR_PATH)

    def _wrong_engine(self, folder: ModelFolder) -> Iterator[str]:
        engine, label = self._settings.engine, self._origin("engine")
        if (engine, folder.layout) == ("ctranslate2", "transformers"):
            if (reason := why_not_family(folder.model_type)) is not None:
                yield f"{label}: {folder.path} cannot be converted to CTranslate2: {reason}"
        elif engine not in ("auto", folder.layout):
            yield f"{label}: {folder.path} holds a {folder.layout} model, which the engine {engine} does not read"
        needed = folder.layout if engine == "auto" else engine
        for package in PACKAGES.get(needed, ()):
            if find_spec(package) is None:
                yield (
                    f"{self._origin('source')}: {folder.path} needs {package}, which is not installed: "
                    f"pip install 'alcove[{needed}]'"
                )

    def _wrong_places(self, engine: str | None) -> Iterator[str]:
        device, precision = self._settings.device, self._settings.compute_type
        if not re.fullmatch(DEVICES, device):
            hint = nearest(device, ("auto", "cpu", "cuda", "map"))
            yield f"{self._origin('device')}: should be auto, cpu, cuda, cuda:N or map, not {device!r}{hint}"
        known = COMPUTE_TYPES.get(engine or "", frozenset().union(*COMPUTE_TYPES.values()))
        if precision not in known and not (engine == "transformers" and precision.startswith("int8")):
            named = ", ".join(sorted(known))
            hint = nearest(precision, known)
            yield f"{self._origin('compute_type')}: should be {named}, not {precision!r}{hint}"

    def _wrong_template(self, folder: ModelFolder | None) -> Iterator[str]:
        template, label = self._settings.prompt.chat_template, self._origin("prompt.chat_template")
        if template is None:
            return
        try:
            ChatTemplate(text_of(template, None if folder is None else folder.path), {}, origin=label)
        except ModelLoadError as error:
            yield str(error)
        except (OSError, UnicodeDecodeError):
            hint = nearest_path(template, Path.cwd(), any_file=True)
            yield f"{label}: not a file that can be read: {template}{hint}"
