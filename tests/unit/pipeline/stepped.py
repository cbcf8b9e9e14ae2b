"""An event loop that goes on when a test says so, with a clock that it turns on and threads that end when it says."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any


class SteppedLoop(asyncio.SelectorEventLoop):
    """Runs what is ready, once for each `step`. It never sleeps, and what is handed to a thread waits for `end`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.in_threads: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        """What runs in threads."""

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        """For those who ask the module `time`."""
        return self.now

    def perf_counter(self) -> float:
        return self.now

    def wall_clock(self) -> float:
        return time.time()

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future: asyncio.Future[Any] = self.create_future()
        self.in_threads.append((lambda: func(*args), future))
        return future

    def end(self, index: int) -> None:
        """Let a thread do its work, and end."""
        work, future = self.in_threads.pop(index)
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - told to who awaits it
            if not future.cancelled():
                future.set_exception(error)
        else:
            if not future.cancelled():
                future.set_result(result)

    def step(self) -> None:
        """Run what is ready now."""
        self.call_soon(self.stop)
        self.run_forever()

    def until(self, done: Callable[[], bool]) -> None:
        """Go on, threads too, but not the clock."""
        for _ in range(1_000):
            if done():
                return
            if self.in_threads:
                self.end(0)
            self.step()
        raise AssertionError("the loop goes on, and nothing changes")
