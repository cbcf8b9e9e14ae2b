"""A model's place: who waits for it, who keeps it, and what happens when it comes, goes or fails."""

import asyncio
import gc
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest

from alcove.config.settings import ModelSettings
from alcove.errors import ModelLoadError, ModelLoading, ModelUnavailable, OutOfMemory, ShuttingDown
from alcove.pipeline import slot as slots
from alcove.pipeline.slot import Resident, Slot


@dataclass(eq=False)
class Model:
    """Stands for a loaded model: what a slot needs of one."""

    number: int
    gone: threading.Event = field(default_factory=threading.Event)

    @property
    def closed(self) -> bool:
        return self.gone.is_set()

    async def answer(self, jobs: Any, *, gather_s: float = 0.0) -> AsyncGenerator[list[int], None]:
        for step in range(3):
            assert not self.closed, "a model was taken away from somebody who used it"
            yield [self.number, step]
            await asyncio.sleep(0)

    def close(self) -> None:
        self.gone.set()


@dataclass
class Loader:
    """Loads at its own time; remembers what it has loaded."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None
    models: list[Model] = field(default_factory=list)

    async def __call__(self, slot: Slot) -> Resident:
        await self.go.wait()
        if self.error is not None:
            raise self.error
        self.models.append(Model(len(self.models)))
        return Resident(self.models[-1], 100)  # type: ignore[arg-type]


@pytest.fixture
async def loader() -> Loader:
    loader = Loader()
    loader.go.set()
    return loader


def made(loader: Loader, *, patience_s: float = 5.0, max_queue: int = 8) -> Slot:
    return Slot(ModelSettings(name="m", source="x", max_queue=max_queue), loader, patience_s=patience_s)


async def all_of(slot: Slot) -> list[Any]:
    return [events async for events in slot.answer([])]


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_many_first_requests_share_one_loading(loader: Loader) -> None:
    slot = made(loader)
    assert slot.state == "absent"
    answers = await asyncio.gather(*(all_of(slot) for _ in range(5)))
    assert answers == [[[0, 0], [0, 1], [0, 2]]] * 5
    assert (len(loader.models), slot.state, slot.bytes) == (1, "ready", 100)


async def test_a_request_waits_for_so_long_only_and_the_loading_goes_on(loader: Loader) -> None:
    loader.go.clear()
    slot = made(loader, patience_s=0.05)
    with pytest.raises(ModelLoading):
        await all_of(slot)
    assert slot.state == "loading"
    loader.go.set()
    assert len(await all_of(slot)) == 3
    assert len(loader.models) == 1


async def test_so_many_may_wait_and_no_more(loader: Loader) -> None:
    loader.go.clear()
    slot = made(loader, max_queue=2)
    waiting = [asyncio.create_task(all_of(slot)) for _ in range(2)]
    await settled()
    with pytest.raises(ModelLoading, match="2 requests wait"):
        await all_of(slot)
    loader.go.set()
    assert all(len(answer) == 3 for answer in await asyncio.gather(*waiting))


async def test_where_nobody_may_wait_the_model_is_loaded_all_the_same(loader: Loader) -> None:
    slot = made(loader, max_queue=0)
    with pytest.raises(ModelLoading, match="0 requests wait"):
        await all_of(slot)
    await settled()
    assert len(await all_of(slot)) == 3


async def test_a_client_that_leaves_while_it_waits_takes_nothing_along(loader: Loader) -> None:
    loader.go.clear()
    slot = made(loader, max_queue=2)
    leaving, staying = asyncio.create_task(all_of(slot)), asyncio.create_task(all_of(slot))
    await settled()
    leaving.cancel()
    await settled()
    loader.go.set()
    assert len(await staying) == 3
    assert slot.idle


async def test_unloading_waits_for_those_who_use_the_model(loader: Loader) -> None:
    slot = made(loader)
    async with slot.lease() as model:
        assert not slot.idle
        unloading = asyncio.create_task(slot.unload())
        await settled()
        assert (slot.state, model.closed) == ("unloading", False)  # type: ignore[attr-defined]
        newcomer = asyncio.create_task(all_of(slot))  # comes while the old model goes: has the next one
        await settled()
    await unloading
    assert loader.models[0].closed
    assert (await newcomer)[0] == [1, 0]


async def test_a_reload_lets_old_requests_end_and_new_ones_begin(loader: Loader) -> None:
    slot = made(loader)
    async with slot.lease() as old:
        await slot.reload()
        assert (await all_of(slot))[0] == [1, 0]
        assert not old.closed  # type: ignore[attr-defined]
    await asyncio.wait_for(asyncio.to_thread(loader.models[0].gone.wait), 5)
    assert not loader.models[1].closed


async def test_a_reload_that_fails_leaves_the_old_model(loader: Loader) -> None:
    slot = made(loader)
    await slot.load()
    loader.error = ModelLoadError("broken")
    with pytest.raises(ModelLoadError):
        await slot.reload()
    assert slot.state == "ready"
    assert (await all_of(slot))[0] == [0, 0]


async def test_a_failure_is_told_and_tried_again_after_a_while(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = made(loader)
    loader.error = ModelLoadError("/a/path is broken")
    with pytest.raises(ModelUnavailable) as refusal:
        await all_of(slot)
    assert "/a/path" not in str(refusal.value), "clients are not told of paths"
    assert (slot.state, slot.reason) == ("failed", "/a/path is broken")
    loader.error = None
    with pytest.raises(ModelUnavailable):  # at once: not tried yet
        await all_of(slot)
    assert not loader.models
    now = slots.time.monotonic()
    monkeypatch.setattr(slots.time, "monotonic", lambda: now + slots.RETRY_S + 1)
    assert len(await all_of(slot)) == 3
    assert (slot.state, slot.reason) == ("ready", None)


async def test_no_room_is_not_a_failure_of_the_model(loader: Loader) -> None:
    slot = made(loader)
    loader.error = OutOfMemory("no room")
    with pytest.raises(OutOfMemory):
        await all_of(slot)
    assert slot.state == "absent"
    loader.error = None
    assert len(await all_of(slot)) == 3


async def test_closing_ends_what_is_there(loader: Loader) -> None:
    slot = made(loader)
    await slot.load()
    await slot.close()
    assert loader.models[0].closed


async def test_a_model_that_somebody_has_waited_for_is_not_idle(loader: Loader) -> None:
    """Or it could go, to make room for another, before the first request has had its turn; and that one likewise."""
    slot = made(loader)
    request = asyncio.create_task(all_of(slot))
    while slot.resident is None:  # noqa: ASYNC110 - the very first turn in which it is there
        await asyncio.sleep(0)
    assert not slot.idle
    await request
    assert slot.idle


async def test_a_model_that_is_about_to_change_is_not_idle(loader: Loader) -> None:
    """Or who makes room would wait behind a loading, which waits for it."""
    slot = made(loader)
    orders = [asyncio.create_task(order) for order in (slot.reload(), slot.reload(), slot.unload())]
    while not orders[-1].done():
        await asyncio.sleep(0)
        assert not slot.idle


async def test_closing_lets_go_of_a_model_that_was_replaced(loader: Loader) -> None:
    slot = made(loader)
    async with slot.lease():
        await slot.reload()
        await slot.close()
    assert [model.closed for model in loader.models] == [True, True]


async def test_an_unloading_goes_on_when_nobody_waits_for_it(loader: Loader) -> None:
    slot = made(loader)
    async with slot.lease():
        unloading = asyncio.create_task(slot.unload())
        await settled()
        unloading.cancel()
        await settled()
    await slot.close()
    assert loader.models[0].closed


@pytest.mark.parametrize(("error", "traced"), [(ModelLoadError("broken"), False), (RuntimeError("a bug"), True)])
async def test_a_failure_goes_to_the_log(
    loader: Loader, caplog: pytest.LogCaptureFixture, error: Exception, traced: bool
) -> None:
    slot = made(loader)
    loader.error = error
    with pytest.raises(ModelUnavailable, match=r"^The model 'm' cannot be loaded; the server's log says why\.$"):
        await all_of(slot)
    (told,) = (told for told in caplog.records if told.name == slots.__name__)
    assert (told.levelname, told.message) == ("ERROR", f"Model 'm' cannot be loaded: {error}")
    assert bool(told.exc_info) == traced


async def test_states_are_told(loader: Loader) -> None:
    slot = made(loader)
    loader.go.clear()
    loading = asyncio.create_task(slot.reload())
    await settled()
    assert (slot.state, slot.told) == ("loading", "loading")
    loader.go.set()
    await loading
    assert slot.state == "ready"
    await slot.unload()
    assert (slot.state, slot.bytes, slot.used_at) == ("absent", 0, 0.0)


async def test_an_unloading_by_hand_has_a_failed_model_tried_again(loader: Loader) -> None:
    slot = made(loader)
    loader.error = ModelLoadError("broken")
    with pytest.raises(ModelLoadError):
        await slot.load()
    loader.error = None
    await slot.unload()
    assert (slot.state, slot.reason) == ("absent", None)
    assert len(await all_of(slot)) == 3


async def test_a_model_was_used_when_its_last_user_left(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = made(loader)
    async with slot.lease():
        monkeypatch.setattr(slots.time, "monotonic", lambda: 1e9)
    monkeypatch.undo()
    assert slot.used_at == 1e9


@pytest.mark.parametrize("order", ["load", "reload"])
async def test_a_loading_goes_on_when_who_ordered_it_leaves(loader: Loader, order: str) -> None:
    """What a thread has loaded would belong to nobody: never closed, and in memory for ever."""
    loader.go.clear()
    slot = made(loader)
    loading = asyncio.create_task(getattr(slot, order)())
    await settled()
    loading.cancel()
    await settled()
    assert (loading.cancelled(), slot.state) == (True, "loading")
    loader.go.set()
    await slot.close()
    assert [model.closed for model in loader.models] == [True]


async def test_who_leaves_an_order_leaves_its_failure_to_the_log(
    loader: Loader, caplog: pytest.LogCaptureFixture
) -> None:
    slot = made(loader)
    await slot.load()
    loader.go.clear()
    loader.error = ModelLoadError("broken")
    reloading = asyncio.create_task(slot.reload())
    await settled()
    reloading.cancel()
    loader.go.set()
    await asyncio.wait({reloading})
    await settled()
    gc.collect()  # an error that nobody has taken would be asyncio's to tell, with a traceback
    assert [(told.name, told.message) for told in caplog.records if told.levelname == "ERROR"] == [
        (slots.__name__, "Model 'm' cannot be loaded, and the old one stays: broken")
    ]
    assert slot.state == "ready"


async def test_what_was_ordered_and_has_not_begun_is_left_undone_at_the_end(loader: Loader) -> None:
    loader.go.clear()
    slot = made(loader)
    orders = [asyncio.create_task(order()) for order in (slot.load, slot.reload)]
    waiting = asyncio.create_task(all_of(slot))
    await settled()
    closing = asyncio.create_task(slot.close())
    await settled()
    loader.go.set()
    results = await asyncio.gather(*orders, waiting, return_exceptions=True)
    await closing
    assert results[0] is None
    assert all(isinstance(result, ShuttingDown) for result in results[1:])
    assert [model.closed for model in loader.models] == [True]
