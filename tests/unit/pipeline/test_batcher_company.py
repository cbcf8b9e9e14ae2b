"""How long a worker waits for company and how much of the work it takes, on a virtual clock; what is told of it."""

import logging
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

import pytest

from alcove.engines.base import BatchSink, Capabilities
from alcove.errors import InvalidRequest, Overloaded
from alcove.metrics.series import Histogram
from alcove.pipeline import batcher as batchers
from alcove.pipeline import cores as budgets
from alcove.pipeline import entries
from alcove.pipeline.batcher import Batcher
from alcove.pipeline.cores import Cores
from alcove.runs import Run, Step

from .scheduled import Schedule, scheduled


class Timed:
    """A `BatchEngine` whose batches end when the test says so."""

    capabilities = Capabilities(engine="timed", options={})
    cores = 1

    def __init__(self, schedule: Schedule, workers: int = 1) -> None:
        self.schedule, self.workers = schedule, workers
        self.batches: list[list[str]] = []
        self.ended: set[int] = set()
        self.unfinished: set[str] = set()

    def check(self, run: Run) -> None:
        raise InvalidRequest(run.id)

    def batch_key(self, run: Run) -> Hashable:
        return 0

    def length(self, run: Run) -> int:
        return 1

    def cost(self, runs: Sequence[Run]) -> float:
        return 1.0

    def run(self, runs: Sequence[Run], sink: BatchSink) -> Sequence[Run]:
        number = len(self.batches)
        self.batches.append([run.id for run in runs])
        self.schedule.pause(lambda: number in self.ended)
        for run in runs:
            if run.id not in self.unfinished:
                sink.add(Step(run=run.id, tokens=(1,)))
                sink.add(Step(run=run.id, finish="stop"))
        return [replace(run, made=(1,)) for run in runs if run.id in self.unfinished]

    def close(self) -> None:
        """Nothing to release."""


class Bench:
    """A batcher of that engine, and what it tells."""

    def __init__(self, schedule: Schedule, workers: int = 1, sizes: Histogram | None = None) -> None:
        self.schedule = schedule
        self.engine = Timed(schedule, workers)
        self.told: list[Step] = []
        limits = {"max_queue": 2, "max_batch_size": 8, "max_batch_tokens": 100}
        self.batcher = Batcher(self.engine, Cores(8), sizes=sizes, **limits)
        schedule.settle()

    def submit(self, *names: str) -> None:
        runs = [Run(id=name, tokens=(0,), max_new_tokens=5) for name in names]
        self.batcher.submit(runs, self.told.extend)
        self.schedule.settle()

    def after(self, seconds: float) -> list[list[str]]:
        """The batches that have begun by then."""
        self.schedule.now += seconds
        self.schedule.settle()
        return self.engine.batches

    def end(self, number: int, *, after: float) -> None:
        self.after(after)
        self.engine.ended.add(number)
        self.schedule.settle()


@pytest.fixture
def schedule(monkeypatch: pytest.MonkeyPatch) -> Iterator[Schedule]:
    with scheduled() as schedule:
        for module in (batchers, budgets):
            monkeypatch.setattr(module, "threading", schedule)
        for module in (batchers, entries):
            monkeypatch.setattr(module, "time", schedule)
        yield schedule


@pytest.fixture
def bench(schedule: Schedule) -> Bench:
    """After a batch of two that took ten seconds: a worker waits for one second, or half a one if nobody comes."""
    bench = Bench(schedule)
    bench.submit("a", "b")
    bench.end(0, after=10.0)
    return bench


def test_those_who_come_back_soon_share_a_batch(bench: Bench) -> None:
    bench.submit("c")
    assert bench.after(0.4) == [["a", "b"]]
    bench.submit("d")
    assert bench.engine.batches == [["a", "b"], ["c", "d"]]


def test_one_who_comes_back_alone_waits_for_so_long(bench: Bench) -> None:
    bench.after(0.25)
    bench.submit("c")
    assert bench.after(0.25) == [["a", "b"]]
    assert bench.after(0.49) == [["a", "b"]]
    assert bench.after(0.02) == [["a", "b"], ["c"]]


def test_nobody_waits_longer_for_those_who_do_not_come(bench: Bench) -> None:
    bench.after(0.51)
    bench.submit("c")
    assert bench.engine.batches == [["a", "b"], ["c"]]


def test_after_a_lone_run_nobody_waits(bench: Bench) -> None:
    bench.after(2.0)
    bench.submit("c")
    bench.end(1, after=10.0)
    bench.submit("d")
    assert bench.engine.batches == [["a", "b"], ["c"], ["d"]]


def test_who_must_go_on_waits_for_nobody(schedule: Schedule) -> None:
    bench = Bench(schedule)
    bench.engine.unfinished = {"b"}
    bench.submit("a", "b")
    bench.end(0, after=10.0)
    assert bench.engine.batches == [["a", "b"], ["b"]]


def test_a_worker_takes_its_share_of_all_runs(schedule: Schedule) -> None:
    bench = Bench(schedule, workers=2)
    bench.submit("a", "b", "c", "d")
    assert bench.engine.batches == [["a", "b"], ["c", "d"]]
    bench.end(0, after=0.0)
    bench.submit("e", "f", "g")
    assert bench.engine.batches[2:] == [["e", "f", "g"]], "half of the five that wait or run, rounded up"


def test_those_whom_another_expects_back_count_as_its_share(schedule: Schedule) -> None:
    bench = Bench(schedule, workers=2)
    bench.submit("a", "b", "c", "d")
    bench.end(0, after=10.0)  # this worker expects two back
    bench.submit("e")
    bench.end(1, after=0.0)
    assert bench.after(1.0)[2:] == [["e"]]


def test_the_first_step_tells_when_its_batch_began_and_when_it_was_made(schedule: Schedule) -> None:
    bench = Bench(schedule)
    schedule.now = 5.0
    bench.submit("a")
    bench.end(0, after=2.0)
    assert [step.times for step in bench.told] == [None, (5.0, 7.0), None]


def test_sizes_are_counted(schedule: Schedule) -> None:
    class Sizes(Histogram):
        def observe(self, value: float) -> None:
            seen.append(value)

    seen: list[float] = []
    bench = Bench(schedule, sizes=Sizes.__new__(Sizes))
    bench.submit("a", "b", "c")
    assert seen == [3]


def test_a_full_queue_says_how_full(schedule: Schedule) -> None:
    bench = Bench(schedule)
    for name in "abc":
        bench.submit(name)
    with pytest.raises(Overloaded, match=r"^All workers are busy and 2 requests are waiting\.$"):
        bench.submit("d")


def test_the_engine_is_asked_what_it_refuses(schedule: Schedule) -> None:
    with pytest.raises(InvalidRequest, match="bad"):
        Bench(schedule).batcher.check(Run(id="bad", tokens=(0,), max_new_tokens=5))


def test_workers_have_names_and_do_not_keep_the_process(schedule: Schedule) -> None:
    Bench(schedule, workers=2)
    assert [(thread.name, thread.daemon) for thread in schedule.threads] == [
        ("alcove-worker-0", True),
        ("alcove-worker-1", True),
    ]


def test_an_engine_that_hangs_is_left_after_ten_seconds(schedule: Schedule, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(schedule, workers=2)
    bench.submit("a", "b")
    bench.batcher.close()
    assert schedule.now == 10.0
    assert [step.error for step in bench.told if step.error] == [bench.told[-1].error] * 2
    assert [(told.levelno, told.message) for told in caplog.records if told.name == batchers.__name__] == [
        (logging.ERROR, "The engine hangs: its memory is not free before the process ends")
    ]
