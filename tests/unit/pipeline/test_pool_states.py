"""Models that come and go in a bounded memory, under whatever clients, administrators, faults and the clock do."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alcove.config.settings import ModelSettings, ServerSettings, Settings
from alcove.errors import AlcoveError, ModelLoadError, ModelLoading, ModelUnavailable, OutOfMemory, ShuttingDown
from alcove.metrics import Metrics
from alcove.pipeline import pool as pools
from alcove.pipeline import slot as slots
from alcove.pipeline.memory import who_goes
from alcove.pipeline.pool import Pool
from alcove.pipeline.slot import Slot

from .stepped import SteppedLoop

INDEX = st.integers(0, 20)
PATIENCE_S = 5.0
AT_REST = 10
"""Memory of the process without a model."""


class Request:
    """One, and what became of it."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.go = asyncio.Semaphore(0)
        self.model: Model | None = None
        """The one that answers it."""
        self.answer: list[int] = []
        self.task: asyncio.Task[None]

    async def run(self) -> None:
        async with aclosing(self.slot.answer([self])) as answer:  # type: ignore[list-item]
            async for step in answer:
                self.answer += step  # type: ignore[arg-type]


class Model:
    """Stands for a loaded model."""

    trouble = None

    def __init__(self, machine: "Residence", name: str) -> None:
        self.machine, self.name = machine, name
        self.bytes = machine.sizes[name]
        self.users: list[Request] = []
        self.closed = False

    async def answer(self, jobs: list[Request], *, gather_s: float) -> AsyncGenerator[list[int], None]:
        request = jobs[0]
        self.users.append(request)
        request.model = self
        try:
            for step in range(3):
                await request.go.acquire()
                assert not self.closed
                yield [step]
        finally:
            self.users.remove(request)

    def close(self) -> None:
        assert not self.closed, "closed twice"
        assert not self.users or self.machine.closing, "taken away from somebody who uses it"
        self.closed = True


class Residence(RuleBasedStateMachine):
    """A pool of three models: the real pool and slots, around models that need no engine."""

    @initialize(
        sizes=st.lists(st.integers(1, 5), min_size=3, max_size=3),
        room=st.integers(3, 9),
        ttl_s=st.none() | st.just(30.0),
        abrupt=st.booleans(),
    )
    def begin_with(self, sizes: list[int], room: int, ttl_s: float | None, abrupt: bool) -> None:
        """`abrupt`: whether the pool is closed while requests and orders go on."""
        self.abrupt = abrupt
        self.closing = False
        self.sizes = dict(zip("abc", sizes, strict=True))
        self.limit = AT_REST + room
        self.models: list[Model] = []
        self.requests: list[Request] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.broken: dict[str, Exception] = {}
        self.reloads = 0
        self.patch = pytest.MonkeyPatch()
        self.loop = SteppedLoop()
        clock = SimpleNamespace(monotonic=self.loop.time, time=lambda: 0.0)
        self.patch.setattr(slots, "time", clock)
        self.patch.setattr(slots, "return_freed", lambda: None)
        self.patch.setattr(pools, "time", clock)
        self.patch.setattr(pools, "Model", SimpleNamespace(load=self.load))
        self.patch.setattr(pools, "resident_bytes", lambda: AT_REST + self.taken)
        self.patch.setattr(pools, "who_goes", self.who_goes)
        self.patch.setattr(Pool, "_look_at", lambda pool, model: (None, SimpleNamespace(bytes=self.sizes[model.name])))
        chosen = Settings(
            server=ServerSettings(memory_limit=self.limit, load_timeout_s=PATIENCE_S),  # type: ignore[arg-type]
            models=tuple(
                ModelSettings(name=name, source="x", load="first_use", max_queue=2, ttl_s=ttl_s) for name in self.sizes
            ),
        )
        self.pool: Pool
        opening = self.loop.create_task(self.open(chosen))
        self.loop.until(opening.done)
        opening.result()

    async def open(self, chosen: Settings) -> None:
        self.pool = await Pool.open(chosen, Metrics())

    # what the pool sees of the world

    @property
    def alive(self) -> list[Model]:
        return [model for model in self.models if not model.closed]

    @property
    def taken(self) -> int:
        return sum(model.bytes for model in self.alive)

    def load(self, folder: None, chosen: ModelSettings, *rest: Any) -> Model:
        if error := self.broken.get(chosen.name):
            raise error.with_traceback(None)  # raised time and again, it would keep every frame it has seen
        slot = self.pool.get(chosen.name)
        twins = [model for model in self.alive if model.name == chosen.name]
        assert len(twins) <= self.reloads, "two of a model, and nobody reloads it"
        self.models.append(Model(self, slot.name))
        assert AT_REST + self.taken <= self.limit, "more memory than it may have"
        return self.models[-1]

    def who_goes(self, missing: int, idle: Iterable[Slot]) -> list[Slot] | None:
        going = list(idle)
        for slot in going:
            assert slot.resident is not None
            assert not self.users_of(slot)
        return who_goes(missing, going)

    def users_of(self, slot: Slot) -> list[Request]:
        return [] if slot.resident is None else slot.resident.model.users  # type: ignore[attr-defined]

    def slot(self, index: int) -> Slot:
        return list(self.pool)[index % 3]

    @property
    def open_requests(self) -> list[Request]:
        return [request for request in self.requests if not request.task.done()]

    # clients

    @rule(which=INDEX)
    def ask(self, which: int) -> None:
        async def made() -> Request:
            return Request(self.slot(which))

        request = self.loop.run_until_complete(made())
        request.task = self.loop.create_task(request.run())
        self.requests.append(request)

    @precondition(lambda self: self.open_requests)
    @rule(which=INDEX, steps=st.integers(1, 3))
    def answer(self, which: int, steps: int) -> None:
        for _ in range(steps):
            self.open_requests[which % len(self.open_requests)].go.release()

    @precondition(lambda self: self.open_requests)
    @rule(which=INDEX)
    def leave(self, which: int) -> None:
        self.open_requests[which % len(self.open_requests)].task.cancel()

    # administrators

    @rule(which=INDEX, what=st.sampled_from(["load", "unload", "reload"]))
    def order(self, which: int, what: str) -> None:
        self.reloads += what == "reload"
        task = self.loop.create_task(getattr(self.slot(which), what)())
        self.tasks.append(task)

    @property
    def open_orders(self) -> list[asyncio.Task[None]]:
        return [task for task in self.tasks if not task.done()]

    @precondition(lambda self: self.open_orders)
    @rule(which=INDEX)
    def withdraw(self, which: int) -> None:
        """An administrator leaves, too; what was ordered is done all the same."""
        self.open_orders[which % len(self.open_orders)].cancel()

    @rule(which=INDEX, error=st.sampled_from([None, ModelLoadError("/a/path is broken"), RuntimeError("a bug")]))
    def break_or_mend(self, which: int, error: Exception | None) -> None:
        name = self.slot(which).name
        if error is None:
            self.broken.pop(name, None)
        else:
            self.broken[name] = error

    # the loop, threads and time

    @rule(times=st.integers(1, 8))
    def go_on(self, times: int) -> None:
        for _ in range(times):
            self.loop.step()

    @precondition(lambda self: self.loop.in_threads)
    @rule(which=INDEX)
    def end_a_thread(self, which: int) -> None:
        self.loop.end(which % len(self.loop.in_threads))

    @rule(seconds=st.sampled_from([0.5, 2.0, 10.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.loop.now += seconds

    @rule()
    def rest(self) -> None:
        """Everything is done that needs no client: nothing waits, and what is told is so."""
        self.loop.until(lambda: not self.loop.in_threads and not self.loop._ready)  # type: ignore[attr-defined]
        for _ in range(20):
            self.loop.step()

    @invariant()
    def holds(self) -> None:
        for slot in self.pool:
            if slot.resident is not None:
                assert slot.state == "ready"
                assert not slot.resident.model.closed  # type: ignore[attr-defined]
                assert slot.bytes == self.sizes[slot.name]
                assert slot.resident.users >= len(self.users_of(slot))
            else:
                assert slot.state != "ready"
                assert not slot.idle
            assert 0 <= slot._waiting <= slot.settings.max_queue
            assert (slot.state == "failed") == (slot.reason is not None)
        for name in self.sizes:
            assert sum(model.name == name for model in self.alive) <= 1 + self.reloads
        for request in self.requests:
            if request.task.done() and not request.task.cancelled():
                error = request.task.exception()
                if error is None:
                    assert request.answer == [0, 1, 2]
                else:
                    assert isinstance(error, ModelLoading | ModelUnavailable | OutOfMemory | ShuttingDown), error
                    assert not request.answer
                    assert "/a/path" not in str(error), "clients are not told of paths"
        for task in self.tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                assert isinstance(error, AlcoveError) or str(error) == "a bug"

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        try:
            self.everything_ends()
        finally:
            self.patch.undo()
            self.loop.close()

    def everything_ends(self) -> None:
        """Requests and orders end, and a pool that is closed leaves no model behind."""
        if not self.abrupt:
            for request in self.open_requests:
                for _ in range(3):
                    request.go.release()
            self.loop.until(lambda: not self.open_requests and all(task.done() for task in self.tasks))
            self.holds()
        self.closing = True
        for task in (*(request.task for request in self.open_requests), *self.tasks):
            task.cancel()  # as the HTTP server does when the time to drain is over
        self.loop.until(lambda: all(task.done() for task in self.tasks))
        closing = self.loop.create_task(self.pool.close())
        self.loop.until(closing.done)
        closing.result()
        self.loop.until(lambda: not self.loop.in_threads)
        assert not self.alive, "a closed pool has let go of all models"


TestResidence = Residence.TestCase
TestResidence.settings = settings(stateful_step_count=60)
