"""The place of one configured model: whether it is in memory, who uses it, and its coming and going.

Made by `pipeline/pool.py`, which says how a model is loaded; used by the routes, which never see one that is not there.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from alcove.config.settings import ModelSettings
from alcove.engines.faults import STOPPING
from alcove.errors import AlcoveError, ModelLoading, ModelUnavailable, OutOfMemory, ShuttingDown
from alcove.jobs import Event, Job
from alcove.machine import resident_bytes, return_freed
from alcove.pipeline.about import About
from alcove.pipeline.memory import in_words
from alcove.pipeline.model import Model

logger = logging.getLogger(__name__)

State = Literal["absent", "loading", "ready", "unloading", "failed"]

RETRY_S = 30.0
"""Seconds after a failure in which requests are refused at once; the first one after them has it tried again."""


@dataclass(slots=True, eq=False)
class Resident:
    """A model in memory."""

    model: Model
    bytes: int
    """Memory that it takes."""
    used_at: float = field(default_factory=time.monotonic)
    """When it was used last, on the clock of `time.monotonic`."""
    users: int = 0
    unused: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while there are no users."""

    def __post_init__(self) -> None:
        self.unused.set()

    def enter(self) -> None:
        """One more user."""
        self.users += 1
        self.unused.clear()

    def leave(self) -> None:
        """One user less."""
        self.users -= 1
        self.used_at = time.monotonic()
        if not self.users:
            self.unused.set()


class Slot:
    """One model of the configuration. Everything here happens on the event loop."""

    def __init__(
        self, settings: ModelSettings, load: Callable[["Slot"], Awaitable[Resident]], *, patience_s: float
    ) -> None:
        """`load` brings the model into memory; a request waits for it for `patience_s` seconds at the most."""
        self.settings = settings
        self.name = settings.name
        self.created = int(time.time())
        """Seconds since 1970."""
        self.about: About | None = None
        """What is known of the model; None while its folder cannot be read."""
        self.state: State = "absent"
        self.reason: str | None = None
        """Why it could not be loaded; None unless the state is `failed`."""
        self.resident: Resident | None = None
        self._load = load
        self._patience_s = patience_s
        self._changing = asyncio.Lock()
        self._orders: set[asyncio.Task[None]] = set()
        """What has that lock, or waits for it."""
        self._closing = False
        self._arrival: asyncio.Task[None] | None = None
        self._waiting = 0
        self._retry_at = 0.0
        self._retiring: dict[asyncio.Task[None], asyncio.Event] = {}
        """The letting go of models that are no longer this slot's, and what tells that their users have gone."""

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Model]:
        """The model, which stays as long as the block lasts; loaded first where it has to be.

        Raises `ModelLoading` when that takes too long or too many wait for it, `ModelUnavailable` when it fails,
        `OutOfMemory` when there is no room, and `ShuttingDown` after `close`.
        """
        while (resident := self.resident) is None:  # it may have been unloaded before this task's turn came
            await self._arrive()
        resident.enter()
        try:
            yield resident.model
        finally:  # awaits nothing, for a cancelled task would not get past it
            resident.leave()

    def need_room(self) -> None:
        """See `Model.need_room`; what is not in memory has room."""
        if self.resident is not None:
            self.resident.model.need_room()

    async def answer(self, jobs: Sequence[Job], *, gather_s: float = 0.0) -> AsyncGenerator[list[Event], None]:
        """See `Model.answer` and `lease`."""
        async with self.lease() as model, aclosing(model.answer(jobs, gather_s=gather_s)) as answer:
            async for events in answer:
                yield events

    async def load(self) -> None:
        """Bring the model into memory, if it is not there. Raises what `Model.load` raises, and `OutOfMemory`.

        This goes on when who has asked for it leaves, as `unload` and `reload` do: a model that is being loaded cannot
        be interrupted, and somebody must have it then.
        """
        await self._carried_out(self._bring)

    async def unload(self) -> None:
        """Take the model out of memory when its users have gone; the next request loads it again."""
        await self._carried_out(self._take_away)

    async def reload(self) -> None:
        """Read the model anew. The old one answers until the new one can, and ends what it has begun. Raises as `load`
        does; then the old one stays."""
        await self._carried_out(self._replace, logged=True)

    def failed(self, error: Exception) -> None:
        """The model cannot be loaded; requests are refused for a while, and then it is tried again."""
        self.state, self.reason = "failed", str(error)
        self._retry_at = time.monotonic() + RETRY_S

    async def close(self) -> None:
        """End what runs, and let go of the model. What has been ordered and has not begun is left undone."""
        self._closing = True
        for unused in self._retiring.values():
            unused.set()  # users are not waited for any more
        while going_on := {*self._orders, *self._retiring}:
            await asyncio.wait(going_on)
        if self.resident is not None:
            await asyncio.to_thread(self._taken_out().model.close)

    @property
    def bytes(self) -> int:
        """Memory that the model takes now."""
        return 0 if self.resident is None else self.resident.bytes

    @property
    def used_at(self) -> float:
        """When it was used last, on the clock of `time.monotonic`; 0 when it is not in memory."""
        return 0.0 if self.resident is None else self.resident.used_at

    @property
    def trouble(self) -> str | None:
        """Why a model that is in memory cannot answer now, in one line; None when it can, or is not there."""
        return None if self.resident is None else self.resident.model.trouble

    @property
    def told(self) -> State:
        """The state that others are told: who cannot answer has failed, though it may recover."""
        return self.state if self.trouble is None else "failed"

    @property
    def idle(self) -> bool:
        """Whether the model is in memory for nothing: nobody uses it, is about to, or is about to change it."""
        # who has waited for the model may not have had its turn yet, nor who waits to change it: a lock between two
        # owners is not `locked()`, and who makes room must not queue up for it
        return self.resident is not None and not (self.resident.users or self._waiting or self._orders)

    async def _carried_out(self, change: Callable[[], Awaitable[None]], *, logged: bool = False) -> None:
        """Order a change and wait for it. Its failure goes to the log, too, if it is to be `logged`, or when who has
        ordered it leaves before it is done."""
        task = self._order(change)
        if logged:
            task.add_done_callback(self._write_down)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not logged:
                task.add_done_callback(self._write_down)
            raise

    def _order(self, change: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Begin one of the changes below, in a task of its own."""
        task = asyncio.create_task(self._in_turn(change))
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)
        return task

    async def _in_turn(self, change: Callable[[], Awaitable[None]]) -> None:
        async with self._changing:
            if self._closing:
                raise ShuttingDown(STOPPING)
            await change()

    async def _bring(self) -> None:
        if self.resident is None:
            await self._loaded()

    async def _take_away(self) -> None:
        self._retry_at = 0.0
        if self.resident is not None:
            self.state = "unloading"
            await self._retired(self._taken_out())
        self.state, self.reason = "absent", None

    async def _replace(self) -> None:
        old = self.resident
        await self._loaded()
        if old is not None:
            self._retired(old)

    async def _arrive(self) -> None:
        """Wait until the model is in memory. Those who wait share one loading, which goes on when they leave."""
        if self.state == "failed" and time.monotonic() < self._retry_at:
            raise self._unavailable()
        if self._arrival is None or self._arrival.done():
            self._arrival = self._order(self._bring)
            self._arrival.add_done_callback(self._write_down)
        if self._waiting >= self.settings.max_queue:
            raise ModelLoading(f"The model '{self.name}' is being loaded, and {self._waiting} requests wait for it.")
        self._waiting += 1
        try:
            await asyncio.wait_for(asyncio.shield(self._arrival), self._patience_s)
        except TimeoutError:
            raise ModelLoading(f"The model '{self.name}' is being loaded; try again in a while.") from None
        except (OutOfMemory, ShuttingDown):
            raise
        except Exception as error:
            raise self._unavailable() from error
        finally:
            self._waiting -= 1

    def _write_down(self, task: asyncio.Task[None]) -> None:
        """A failure goes to the log: all who have waited for it may have left."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ShuttingDown):
            unexpected = None if isinstance(error, AlcoveError) else error
            stays = "" if self.resident is None else ", and the old one stays"
            logger.error("Model '%s' cannot be loaded%s: %s", self.name, stays, error, exc_info=unexpected)

    async def _loaded(self) -> None:
        """Load the model, in place of the present one if there is one, which stays when that fails."""
        first = self.resident is None
        if first:
            self.state, self.reason = "loading", None
        try:
            self.resident = await self._load(self)
        except BaseException as error:
            if first:
                self.state = "absent"
                if isinstance(error, Exception) and not isinstance(error, OutOfMemory | ShuttingDown):
                    self.failed(error)
            raise
        self.state, self.reason = "ready", None

    async def _retire(self, resident: Resident) -> None:
        """Let go of a model that is no longer this slot's, when its users have gone."""
        if not self._closing:
            await resident.unused.wait()
        before = resident_bytes()
        await asyncio.to_thread(resident.model.close)
        del resident  # what is still referred to could not be given back
        await asyncio.to_thread(return_freed)
        logger.info("Unloaded '%s': memory %s, %s before", self.name, in_words(resident_bytes()), in_words(before))

    def _taken_out(self) -> Resident:
        """The model, which is no longer this slot's. The caller must not keep it."""
        resident, self.resident = self.resident, None
        assert resident is not None, "asked for only where there is one"
        return resident

    def _retired(self, resident: Resident) -> asyncio.Task[None]:
        """The letting go of a model, which goes on when nobody waits for it."""
        task = asyncio.create_task(self._retire(resident))
        self._retiring[task] = resident.unused
        task.add_done_callback(self._retiring.pop)
        return task

    def _unavailable(self) -> ModelUnavailable:
        return ModelUnavailable(f"The model '{self.name}' cannot be loaded; the server's log says why.")
