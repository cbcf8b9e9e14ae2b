"""The models that are served, by name and alias. Opened at start-up by the server, closed when it stops."""

import asyncio
import difflib
import logging
import os
from collections.abc import Iterable, Iterator

from alcove.config.settings import Settings
from alcove.errors import ModelNotFound
from alcove.metrics import Metrics
from alcove.pipeline.cores import Cores
from alcove.pipeline.model import Model

logger = logging.getLogger(__name__)


class Pool:
    """Loaded models, in the order of the configuration."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models = list(models)
        self._by_name = {name: model for model in self._models for name in (model.name, *model.settings.aliases)}
        defaults = self._models if len(self._models) == 1 else [m for m in self._models if m.settings.default]
        self._default = defaults[0] if defaults else None

    @classmethod
    async def open(cls, settings: Settings, metrics: Metrics) -> "Pool":
        """Load all models, one after the other, each in a thread; raises `ModelLoadError` for the first that cannot
        be loaded, after the others are released."""
        models: list[Model] = []
        loop = asyncio.get_running_loop()
        cores = Cores(len(os.sched_getaffinity(0)))
        try:
            for wanted in settings.models:
                models.append(await asyncio.to_thread(Model.load, wanted, settings.home, metrics, cores, loop))
                logger.info("Loaded '%s' model into memory", wanted.name)
        except BaseException:
            for model in models:
                await asyncio.to_thread(model.close)
            raise
        return cls(models)

    def get(self, name: str | None) -> Model:
        """The model of this name or alias, or the default one; raises `ModelNotFound`."""
        model = self._default if name is None else self._by_name.get(name)
        if model is not None:
            return model
        if name is None:
            raise ModelNotFound(f"Name a model: {', '.join(self._by_name)}. None of them is the default.")
        near = difflib.get_close_matches(name, self._by_name, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Served here: {', '.join(self._by_name)}."
        raise ModelNotFound(f"The model '{name[:200]}' does not exist. {hint}")

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def close(self) -> None:
        """Stop and release all models. Blocks until their engines have let go."""
        for model in self._models:
            model.close()
