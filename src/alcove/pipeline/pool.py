"""The models of the configuration, by name and alias: loads them at start-up or when they are asked for, and unloads
what is idle for too long or in the way. Opened and closed by the server."""

import asyncio
import difflib
import gc
import logging
import os
import signal
import time
from collections.abc import Awaitable, Iterator

from alcove.config.settings import ModelSettings, Settings
from alcove.engines.faults import STOPPING
from alcove.engines.registry import import_engine
from alcove.errors import AlcoveError, ModelLoadError, ModelNotFound, OutOfMemory, ShuttingDown
from alcove.machine import available_bytes, resident_bytes, usable_cores
from alcove.metrics import Metrics
from alcove.pipeline.about import About, about
from alcove.pipeline.cores import Cores
from alcove.pipeline.memory import in_words, who_goes
from alcove.pipeline.model import Model
from alcove.pipeline.slot import Resident, Slot
from alcove.store.converted import serve_from
from alcove.store.folder import ModelFolder
from alcove.store.recognise import recognise

logger = logging.getLogger(__name__)

MEMORY_SHARE = 0.8
"""The part of the machine's memory, or the container's, that the process may take where nothing else is set."""
SWEEP_S = 1.0
"""How often idle models are looked for, in seconds."""
EXIT_DEAD_ENGINE = 70
"""The process's exit code when it ends because an engine has died: `EX_SOFTWARE` of sysexits.h."""


class Pool:
    """The slots of all models, in the order of the configuration."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Nothing is loaded yet. To be made on the event loop on which answers will be awaited."""
        self._settings = settings
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._cores = Cores(usable_cores())
        limit = settings.server.memory_limit
        self._limit = int(available_bytes() * MEMORY_SHARE) if limit is None else limit
        self._at_rest = 0
        """Memory of the process when it has imported its libraries and loaded nothing, in bytes."""
        self._one_by_one = asyncio.Lock()
        self._slots = [Slot(model, self._load, patience_s=settings.server.load_timeout_s) for model in settings.models]
        self._by_name = {name: slot for slot in self._slots for name in (slot.name, *slot.settings.aliases)}
        defaults = self._slots if len(self._slots) == 1 else [slot for slot in self._slots if slot.settings.default]
        self._default = defaults[0] if defaults else None
        self._sweeper: asyncio.Task[None] | None = None
        self._open = False
        """Whether the models that are wanted at the start have been loaded."""
        self._closing = False
        self.dead = False
        """Whether the process is ending because an engine has died."""

    @classmethod
    async def open(cls, settings: Settings, metrics: Metrics) -> "Pool":
        """Look at all models, and load those that are wanted at the start, one after the other. One that cannot be
        loaded does not stop the others; raises the first one's `ModelLoadError` or `ConfigurationError` when no model
        is left."""
        pool = cls(settings, metrics)
        try:
            failures = await pool._start()
            if len(failures) == len(pool):
                raise failures[pool._slots[0]]
            for failure in failures.values():
                logger.error("Not served: %s", failure)
        except BaseException:
            await pool.close()
            raise
        pool._open = True
        pool._sweeper = asyncio.create_task(pool._sweep())
        return pool

    def get(self, name: str | None) -> Slot:
        """The model of this name or alias, or the default one; raises `ModelNotFound`."""
        slot = self._default if name is None else self._by_name.get(name)
        if slot is not None:
            return slot
        if name is None:
            raise ModelNotFound(f"Name a model: {', '.join(self._by_name)}. None of them is the default.")
        near = difflib.get_close_matches(name[:200], self._by_name, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Served here: {', '.join(self._by_name)}."
        raise ModelNotFound(f"The model '{name[:200]}' does not exist. {hint}")

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def ready(self) -> bool:
        """Whether a model can answer, or be loaded when it is asked for, and no engine hangs or is being started again:
        such a process is better replaced."""
        return any(slot.state != "failed" for slot in self._slots) and not any(slot.trouble for slot in self._slots)

    async def close(self) -> None:
        """End what runs and release all models. Returns when their engines have let go."""
        self._closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.gather(*(slot.close() for slot in self._slots))

    def _on_death(self, reason: str) -> None:
        """An engine hangs, or cannot be kept alive; called in any thread."""
        logger.critical("%s", reason)
        if self._settings.server.on_engine_death != "exit" or self.dead:  # a second signal would end it at once
            return
        if not self._open:  # nothing is served yet, and another model that is being loaded cannot be interrupted
            os._exit(EXIT_DEAD_ENGINE)
        self.dead = True
        os.kill(os.getpid(), signal.SIGTERM)  # what else is going on has its time to end

    async def _start(self) -> dict[Slot, AlcoveError]:
        """Look at all models before one of them is loaded, and load those that are wanted now; returns what has failed,
        in their order."""
        failures = {slot: await self._failure(slot, self._look(slot)) for slot in self}
        # What has been imported stays: to look through it for garbage, time and again, would stop all threads for 60,
        # with torch for 200 ms. Of a model nothing may be in it, or its going would leave behind what is in cycles.
        gc.freeze()
        for slot in self:
            if failures[slot] is None and slot.settings.load == "start":
                failures[slot] = await self._failure(slot, slot.load())
        return {slot: failure for slot, failure in failures.items() if failure is not None}

    async def _failure(self, slot: Slot, step: Awaitable[object]) -> AlcoveError | None:
        """Take a step towards serving a model; what has failed, if it has."""
        try:
            await step
        except OutOfMemory as error:  # others have taken the room; it may be free when the model is asked for
            logger.warning("%s It will be loaded when a request asks for it", error)
        except AlcoveError as error:
            if slot.state != "failed":
                slot.failed(error)
            return error
        return None

    async def _look(self, slot: Slot) -> tuple[ModelFolder, About]:
        """Find out what a model is, and say so to its slot."""
        folder, known = await asyncio.to_thread(self._look_at, slot.settings)
        slot.about = known
        return folder, known

    async def _load(self, slot: Slot) -> Resident:
        """Bring a model into memory, one at a time, in a thread, and count it. Raises what `Model.load` raises, and
        `OutOfMemory`."""
        async with self._one_by_one:
            if self._closing:
                raise ShuttingDown(STOPPING)
            counts = self._metrics.of(slot.name)
            try:
                resident = await self._read(slot)
            except Exception:
                counts.load("failed")
                raise
            counts.load("loaded")
            return resident

    async def _read(self, slot: Slot) -> Resident:
        folder, known = await self._look(slot)
        self._at_rest = self._at_rest or resident_bytes()
        await self._make_room(slot, known.bytes)
        before, begun = resident_bytes(), time.monotonic()
        model = await asyncio.to_thread(
            Model.load, folder, slot.settings, self._metrics, self._cores, self._loop, self._on_death
        )
        grown = max(resident_bytes() - before, 0)
        logger.info(
            "Loaded '%s' model into memory in %.1f s: %s, at work about %s are expected",
            *(slot.name, time.monotonic() - begun, in_words(grown), in_words(known.bytes)),
        )
        return Resident(model, max(grown, known.bytes))

    def _look_at(self, settings: ModelSettings) -> tuple[ModelFolder, About]:
        """What the model is. What runs it is imported here: at start-up, when no streams are stopped by that."""
        folder = recognise(serve_from(settings, self._settings.home), settings.task)
        if settings.isolation == "none":
            import_engine(folder)
        return folder, about(folder, settings)

    async def _make_room(self, slot: Slot, needed: int) -> None:
        """Unload idle models until `needed` bytes are free. Raises `ModelLoadError` when the model could never fit, and
        `OutOfMemory` when those that are busy leave no room."""
        if needed > self._limit:
            raise ModelLoadError(
                f"model '{slot.name}' needs about {in_words(needed)}, but {in_words(self._limit)} is the limit of "
                "memory: set server.memory_limit, if there is more, or take a smaller compute_type"
            )
        while (missing := needed + self._taken() - self._limit) > 0:
            going = who_goes(missing, [other for other in self._slots if other is not slot and other.idle])
            if not going:
                raise OutOfMemory(
                    f"There is no room for the model '{slot.name}' now: it needs about {in_words(needed)}, and "
                    f"{in_words(self._taken())} of {in_words(self._limit)} are taken."
                )
            for other in going:
                if other.idle:  # it may have been asked for meanwhile
                    logger.info("Unloading '%s' to make room for '%s'", other.name, slot.name)
                    await other.unload()

    def _taken(self) -> int:
        """Memory in use: as measured, or as expected of the loaded models where they have not worked yet."""
        elsewhere = sum(slot.bytes for slot in self._slots if slot.settings.isolation == "process")
        expected = self._at_rest + sum(slot.bytes for slot in self._slots)
        return max(resident_bytes() + elsewhere, expected)

    async def _sweep(self) -> None:
        """Unload models that have been idle for their time, for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            for slot in self._slots:
                ttl_s = slot.settings.ttl_s
                if ttl_s is not None and slot.idle and time.monotonic() - slot.used_at > ttl_s:
                    await slot.unload()
