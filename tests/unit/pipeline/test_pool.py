"""The models of a process: what happens while the first of them are loaded."""

import asyncio
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from alcove.config.settings import ModelSettings, ServerSettings, Settings
from alcove.metrics import Metrics
from alcove.pipeline import pool as pools
from alcove.pipeline.pool import Pool


@pytest.mark.parametrize(("choice", "ends"), [("exit", [70]), ("keep", [])])
async def test_an_engine_that_dies_while_another_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, choice: Any, ends: list[int]
) -> None:
    """Nothing is served that would have to end first: the code is that of a dead engine, not that of an early stop."""
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        raise SystemExit  # as the real one, it does not come back

    def load(folder: Any, settings: ModelSettings, *rest: Any) -> Any:
        on_death: Callable[[str], None] = rest[-1]
        if settings.name == "second":
            with suppress(SystemExit):
                on_death("the first one's process has died, time and again")
        return SimpleNamespace(close=lambda: None, trouble=None)

    monkeypatch.setattr(pools, "Model", SimpleNamespace(load=load))
    monkeypatch.setattr(pools.os, "_exit", end)
    monkeypatch.setattr(pools.os, "kill", lambda pid, number: codes.append(-number))
    models = tuple(ModelSettings(name=name, source="builtin:echo", engine="echo") for name in ("first", "second"))
    pool = await Pool.open(Settings(server=ServerSettings(on_engine_death=choice), models=models), Metrics())
    assert codes == ends
    await asyncio.wait_for(pool.close(), 10)


async def test_a_second_engine_that_dies_leaves_what_goes_on_its_time_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    signals: list[int] = []
    monkeypatch.setattr(pools.os, "kill", lambda pid, number: signals.append(number))
    server = ServerSettings(on_engine_death="exit")
    models = (ModelSettings(name="m", source="builtin:echo", engine="echo"),)
    pool = await Pool.open(Settings(server=server, models=models), Metrics())
    for name in ("first", "second"):
        pool._on_death(f"model '{name}': its engine has made no step for 1 s, though requests wait")
    assert signals == [signal.SIGTERM]
    await pool.close()


def test_no_model_is_among_what_is_not_searched_for_garbage() -> None:
    """The second model's library is imported when the first one is in memory, unless all are looked at before."""
    opened = """
        import asyncio, gc
        from alcove.config.settings import ModelSettings, Settings
        from alcove.metrics import Metrics
        from alcove.pipeline.model import Model
        from alcove.pipeline.pool import Pool

        async def main():
            sources = ("builtin:echo", "builtin:alcove-seq2seq")
            models = tuple(ModelSettings(name=source[-4:], source=source) for source in sources)
            pool = await Pool.open(Settings(models=models), Metrics())
            print(sum(isinstance(it, Model) for it in gc.get_objects()), gc.get_freeze_count() > 10_000)
            await pool.close()

        asyncio.run(main())
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(opened)], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.split() == ["2", "True"]
