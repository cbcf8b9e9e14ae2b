"""Threads that take turns as a test says, on a clock that it turns on: stands for the modules `threading` and `time`.

A thread runs until it would take a lock, wait or join; then the test goes on, and may let any other one run. So each
order in which threads can meet at their locks can be tried, found again and shrunk. A wake-up that is lost stays lost.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import TracebackType

REAL_S = 20.0
"""Longest real time of one turn: a thread that takes longer has blocked on something real."""


class Over(BaseException):
    """Ends a thread of a test that is over."""


class Deadlock(AssertionError):
    """The test waits for what no thread will do, at whatever time."""


class Thread:
    """One thread. Made by the code that is tested, as `threading.Thread`."""

    def __init__(self, schedule: "Schedule", target: Callable[[], object], name: str, daemon: bool) -> None:
        self._schedule = schedule
        self._target = target
        self._real = threading.Thread(target=self._run, name=name, daemon=True)
        self.name, self.daemon = name, daemon
        self.turn = threading.Semaphore(0)
        self.ready: Callable[[], bool] = lambda: True
        """Whether what it waits for has come."""
        self.until: float | None = None
        """When it waits no longer."""
        self.ended = False
        self.error: BaseException | None = None

    def start(self) -> None:
        self._schedule.threads.append(self)
        self._real.start()

    def join(self, timeout: float | None = None) -> None:
        self._schedule.pause(lambda: self.ended, timeout)

    def is_alive(self) -> bool:
        return not self.ended

    @property
    def runnable(self) -> bool:
        now = self._schedule.now
        return not self.ended and (self.ready() or (self.until is not None and now >= self.until))

    def _run(self) -> None:
        self.turn.acquire()
        try:
            if not self._schedule.over:
                self._target()
        except Over:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            self.error = error
        self.ended = True
        self._schedule.back.release()


class Lock:
    """As `threading.Lock`. Who takes it lets others run first."""

    def __init__(self, schedule: "Schedule") -> None:
        self._schedule = schedule
        self.held = False

    def __enter__(self) -> None:
        self._schedule.pause(lambda: not self.held)
        self.held = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.held = False


class Condition:
    """As `threading.Condition`: who waits goes on when it is notified, or when its time is over."""

    def __init__(self, schedule: "Schedule", lock: Lock) -> None:
        self._schedule = schedule
        self._lock = lock
        self._waiting: dict[int, None] = {}
        self._numbers = count()

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        schedule = self._schedule
        until = None if timeout is None else schedule.now + timeout
        while not (met := predicate()) and (until is None or schedule.now < until):
            number = next(self._numbers)
            self._waiting[number] = None
            self._lock.held = False
            try:
                schedule.pause(
                    lambda number=number: number not in self._waiting, None if until is None else until - schedule.now
                )
            finally:
                self._waiting.pop(number, None)
            self._lock.__enter__()
        return met

    def notify(self) -> None:
        if self._waiting:
            del self._waiting[next(iter(self._waiting))]


class Schedule:
    """Whose turn it is, and what time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.threads: list[Thread] = []
        self.back = threading.Semaphore(0)
        self.over = False
        self._current: Thread | None = None
        """None while the test itself runs."""

    def Lock(self) -> Lock:
        return Lock(self)

    def Condition(self, lock: Lock) -> Condition:
        return Condition(self, lock)

    def Thread(self, *, target: Callable[[], object], name: str, daemon: bool) -> Thread:
        return Thread(self, target, name, daemon)

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic

    @property
    def runnable(self) -> list[Thread]:
        return [thread for thread in self.threads if thread.runnable]

    def pause(self, ready: Callable[[], bool], timeout: float | None = None) -> None:
        """Let others run, until this is so or the time is over. Threads wait for their turn; the test, for which
        nobody chooses, lets those run that can until it is its own turn."""
        until = None if timeout is None else self.now + timeout
        if (thread := self._current) is not None:
            thread.ready, thread.until = ready, until
            self._current = None
            self.back.release()
            thread.turn.acquire()
            if self.over:
                raise Over
            return
        while not ready() and (until is None or self.now < until):
            if runnable := self.runnable:
                self.run(runnable[0])
                continue
            times = [at for at in (until, *(each.until for each in self.threads if not each.ended)) if at is not None]
            if not times:
                raise Deadlock([thread.name for thread in self.threads if not thread.ended])
            self.now = max(self.now, min(times))

    def run(self, thread: Thread) -> None:
        """Let it run until it pauses or ends. Raises what has ended it."""
        self._current = thread
        thread.turn.release()
        assert self.back.acquire(timeout=REAL_S), f"{thread.name} blocks"
        self._current = None
        if thread.error is not None:
            error, thread.error = thread.error, None
            raise error

    def settle(self) -> None:
        """Let all run until each waits for something, at this time."""
        while runnable := self.runnable:
            self.run(runnable[0])

    def end(self) -> None:
        """End all threads, wherever they are."""
        self.over = True
        for thread in self.threads:
            while not thread.ended:
                self.run(thread)


@contextmanager
def scheduled() -> Iterator[Schedule]:
    schedule = Schedule()
    try:
        yield schedule
    finally:
        schedule.end()
