"""The batcher: who shares a batch, who is refused, and that every run ends exactly once."""

import threading
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest

from alcove.engines.base import BatchSink, Capabilities
from alcove.errors import Overloaded, ShuttingDown
from alcove.pipeline.batcher import Batcher
from alcove.pipeline.cores import Cores
from alcove.runs import Run, Step
from tests import sinks

TIMEOUT_S = 10
PLENTY = Cores(64)


class Gate:
    """A `BatchEngine` whose batches begin and end when the test says so. Runs share a batch by their token 0."""

    capabilities = Capabilities(engine="gate", options={})
    cores = 1

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self.batches: list[list[str]] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.fails: type[Exception] | None = None
        self.bad = ""
        """A run that fails alone."""
        self.closed = False
        self.parts = 1
        """Batches that each run needs."""

    def check(self, run: Run) -> None:
        pass

    def batch_key(self, run: Run) -> Hashable:
        return run.tokens[0]

    def length(self, run: Run) -> int:
        return len(run.tokens)

    def cost(self, runs: Sequence[Run]) -> float:
        return 1.0

    def run(self, runs: Sequence[Run], sink: BatchSink) -> Sequence[Run]:
        self.batches.append([run.id for run in runs])
        self.begun.release()
        assert self.go.acquire(timeout=TIMEOUT_S)
        if self.fails:
            raise self.fails("broken")
        unfinished = []
        for run in runs:
            if run.id == self.bad:
                sink.add(Step(run=run.id, error="bad"))
            elif not sink.add(Step(run=run.id, tokens=(1,))):
                if len(run.made) + 1 < self.parts:
                    unfinished.append(replace(run, made=(*run.made, 1)))
                else:
                    sink.add(Step(run=run.id, finish="stop"))
        return unfinished

    def close(self) -> None:
        self.closed = True


class Steps(sinks.Steps):
    """Knows all ends of each run."""

    def ends(self) -> dict[str, list[str | None]]:
        found: dict[str, list[str | None]] = {}
        for step in self.taken:
            if step.finish or step.error:
                found.setdefault(step.run, []).append(step.finish or step.error)
        return found

    def wait(self, ends: int) -> dict[str, list[str | None]]:
        self.until(lambda: len(self.ends()) >= ends)
        return self.ends()


def run(name: str, key: int = 0, length: int = 1) -> Run:
    return Run(id=name, tokens=(key,) * length, max_new_tokens=5)


@contextmanager
def batching(engine: Gate, cores: Cores = PLENTY, **limits: int) -> Iterator[Batcher]:
    batcher = Batcher(engine, cores, **{"max_queue": 64, "max_batch_size": 4, "max_batch_tokens": 100, **limits})
    try:
        yield batcher
    finally:
        for _ in range(100):
            engine.go.release()
        batcher.close()
        assert engine.closed


def started(engine: Gate) -> None:
    assert engine.begun.acquire(timeout=TIMEOUT_S)


def test_what_waits_together_runs_together_oldest_first() -> None:
    engine, steps = Gate(), Steps()
    with batching(engine) as batcher:
        batcher.submit([run("lone")], steps)
        started(engine)
        for name, key in (("a1", 1), ("b1", 2), ("a2", 1), ("b2", 2), ("a3", 1), ("a4", 1), ("a5", 1)):
            batcher.submit([run(name, key)], steps)
        for _ in range(4):
            engine.go.release()
        ends = steps.wait(8)
    assert engine.batches == [["lone"], ["a1", "a2", "a3", "a4"], ["b1", "b2"], ["a5"]]
    assert all(ended == ["stop"] for ended in ends.values())


def test_budget_in_tokens_counts_padding() -> None:
    engine, steps = Gate(), Steps()
    with batching(engine, max_batch_tokens=20) as batcher:
        batcher.submit([run("lone")], steps)
        started(engine)
        batcher.submit([run("short", 1, 2), run("long", 1, 9), run("more", 1, 2), run("huge", 1, 50)], steps)
        for _ in range(4):
            engine.go.release()
        steps.wait(5)
    assert engine.batches == [["lone"], ["short", "more"], ["long"], ["huge"]]


def test_queue_is_bounded_by_requests_and_takes_all_or_none() -> None:
    engine, steps = Gate(), Steps()
    with batching(engine, max_queue=1) as batcher:
        batcher.submit([run("running")], steps)
        started(engine)
        batcher.submit([run(f"waiting-{number}") for number in range(3)], steps)
        with pytest.raises(Overloaded):
            batcher.submit([run("refused")], steps)
        batcher.cancel("waiting-0")
        with pytest.raises(Overloaded):
            batcher.submit([run("refused")], steps)
        batcher.cancel("waiting-1")
        batcher.cancel("waiting-2")
        batcher.submit([run("taken")], steps)
        engine.go.release()
        engine.go.release()
        assert set(steps.wait(2)) == {"running", "taken"}


def test_cancelled_runs_are_told_nothing_more() -> None:
    engine, steps = Gate(), Steps()
    with batching(engine) as batcher:
        batcher.submit([run("running"), run("other")], steps)
        started(engine)
        batcher.cancel("running")
        batcher.cancel("unknown")
        engine.go.release()
        steps.wait(1)
    assert {step.run for step in steps.taken if not step.began} == {"other"}


def test_failure_answers_its_batch_and_only_that() -> None:
    engine, steps = Gate(), Steps()
    with batching(engine) as batcher:
        batcher.submit([run("a", 1), run("b", 1)], steps)
        started(engine)
        batcher.submit([run("c", 2)], steps)
        engine.fails = RuntimeError
        engine.go.release()
        started(engine)
        engine.fails = None
        engine.go.release()
        ends = steps.wait(3)
    assert ends == {"a": ["RuntimeError: broken"], "b": ["RuntimeError: broken"], "c": ["stop"]}


def test_a_run_that_fails_alone_leaves_its_company_alone() -> None:
    engine, steps = Gate(), Steps()
    engine.bad = "c"
    names = "abcdefgh"
    with batching(engine, max_batch_size=8) as batcher:
        batcher.submit([run(name) for name in names], steps)
        started(engine)
        engine.go.release()
        ends = steps.wait(8)
    assert engine.batches == [list(names)]
    assert ends == {name: ["bad"] if name == "c" else ["stop"] for name in names}


def test_a_thousand_alternating_faults_leave_nothing_behind() -> None:
    engine, steps = Gate(), Steps()
    before = threading.active_count()
    kinds = {"RuntimeError: broken": None, "MemoryError: broken": "memory"}
    with batching(engine) as batcher:
        for number in range(1000):
            engine.fails = (None, RuntimeError, None, MemoryError)[number % 4]
            batcher.submit([run(str(number))], steps)
            engine.go.release()
            steps.wait(number + 1)
        assert (batcher.waiting, len(batcher._entries), len(batcher._outboxes)) == (0, 0, 0)
    assert threading.active_count() == before
    told = [step for step in steps.taken if step.finish or step.error]
    assert [step.run for step in told] == [str(number) for number in range(1000)]
    assert [step.finish or step.error for step in told[:4]] == ["stop", *list(kinds)[:1], "stop", *list(kinds)[1:]]
    assert all((step.fault and step.fault.kind) == kinds[step.error] for step in told if step.error)


def test_an_engine_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alcove.pipeline.batcher.PARTING_S", 0.2)
    engine, steps = Gate(), Steps()
    batcher = Batcher(engine, PLENTY, max_queue=64, max_batch_size=4, max_batch_tokens=100)
    batcher.submit([run("hangs")], steps)
    started(engine)
    batcher.close()
    (end,) = [step for step in steps.taken if step.error]
    assert end.fault is not None
    assert end.fault.kind == "stopping"
    assert not engine.closed, "a model that is being used must not be released"
    engine.go.release()


def test_an_engine_that_hangs_keeps_its_cores_when_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alcove.pipeline.batcher.PARTING_S", 0.1)
    cores, steps = Cores(2), Steps()
    hanging, other = Gate(), Gate(workers=2)
    batcher = Batcher(hanging, cores, max_queue=64, max_batch_size=4, max_batch_tokens=100)
    batcher.submit([run("hangs")], steps)
    started(hanging)
    batcher.close()
    with batching(other, cores) as another:
        another.submit([run("one", 0)], steps)
        another.submit([run("two", 1)], steps)
        started(other)
        assert not other.begun.acquire(timeout=0.1), "a third batch on two cores"
        hanging.go.release()
        started(other)


def test_a_batch_that_makes_no_step_is_silent_whatever_others_do() -> None:
    engine, steps = Gate(workers=2), Steps()
    with batching(engine) as batcher:
        assert batcher.silent_s == 0
        batcher.submit([run("hangs", 1)], steps)
        started(engine)
        time.sleep(0.2)
        batcher.submit([run("other", 2)], steps)
        started(engine)
        assert 0.2 <= batcher.silent_s < 5
        for _ in range(2):
            engine.go.release()
        steps.wait(2)
        steps.until(lambda: not batcher._outboxes)
        assert batcher.silent_s == 0


def test_nothing_comes_for_a_run_that_has_been_cancelled() -> None:
    """Not even what its batch was about to hand on."""
    engine, cancelled, told = Gate(), threading.Event(), list[bool]()
    handing = threading.Event()

    def slow(news: Sequence[Step]) -> None:
        if not news[0].began:
            handing.set()
            cancelled.wait(0.3)

    with batching(engine) as batcher:
        batcher.submit([run("first")], slow)
        started(engine)
        batcher.submit([run("a")], slow)
        batcher.submit([run("b")], lambda news: told.append(not news[0].began and cancelled.is_set()))
        engine.go.release()
        started(engine)
        handing.wait(TIMEOUT_S)
        handing.clear()
        engine.go.release()
        assert handing.wait(TIMEOUT_S)
        batcher.cancel("b")
        cancelled.set()
    assert told
    assert not any(told)


def test_the_beginning_of_work_is_told_once() -> None:
    engine, steps = Gate(), Steps()
    engine.parts = 2
    with batching(engine) as batcher:
        batcher.submit([run("a"), run("b")], steps)
        for _ in range(2):
            engine.go.release()
        steps.wait(2)
    assert [step.run for step in steps.taken if step.began] == ["a", "b"]


def test_workers_run_side_by_side() -> None:
    engine, steps = Gate(workers=2), Steps()
    with batching(engine) as batcher:
        batcher.submit([run("a")], steps)
        started(engine)
        batcher.submit([run("b")], steps)
        started(engine)
    assert sorted(engine.batches) == [["a"], ["b"]]


def test_close_ends_everything_once() -> None:
    engine, steps = Gate(), Steps()
    batcher = Batcher(engine, PLENTY, max_queue=64, max_batch_size=4, max_batch_tokens=100)
    batcher.submit([run("running")], steps)
    started(engine)
    batcher.submit([run("waiting", 1)], steps)
    engine.go.release()
    batcher.close()
    with pytest.raises(ShuttingDown):
        batcher.submit([run("late")], steps)
    assert {name: len(ends) for name, ends in steps.ends().items()} == {"running": 1, "waiting": 1}


def test_runs_that_go_on_take_turns_with_those_that_wait_and_cost_no_place() -> None:
    engine, steps = Gate(), Steps()
    engine.parts = 3
    with batching(engine, max_queue=2) as batcher:
        batcher.submit([run("long")], steps)
        started(engine)
        batcher.submit([run("other", 1)], steps)
        batcher.submit([run("third", 2)], steps)
        for _ in range(9):
            engine.go.release()
        steps.wait(3)
    assert engine.batches[:5] == [["long"], ["long"], ["other"], ["long"], ["third"]]
    assert [len(step.tokens) for step in steps.taken if step.run == "long" and not step.began] == [1, 1, 1, 0]


def test_a_run_that_must_go_on_can_be_cancelled() -> None:
    engine, steps = Gate(), Steps()
    engine.parts = 100
    with batching(engine, max_queue=1) as batcher:
        batcher.submit([run("long")], steps)
        started(engine)
        engine.go.release()
        started(engine)
        batcher.cancel("long")
        engine.go.release()
        batcher.submit([run("next", 1)], steps)
        started(engine)
        assert engine.batches[-1] == ["next"]
    assert not steps.ends().get("long")


def test_workers_share_what_waits() -> None:
    engine, steps = Gate(workers=2), Steps()
    with batching(engine, max_batch_size=32) as batcher:
        batcher.submit([run(f"run-{number}") for number in range(8)], steps)
        started(engine)
        started(engine)
        assert sorted(map(len, engine.batches)) == [4, 4]


def test_after_a_batch_of_several_a_worker_waits_for_company() -> None:
    """The clients of a batch that has just ended come back one after the other; they share the next batch, too."""
    engine, steps = Gate(), Steps()
    with batching(engine) as batcher:
        batcher.submit([run("a"), run("b")], steps)
        started(engine)
        time.sleep(0.5)  # a tenth of it is what the worker waits at the most
        engine.go.release()
        steps.wait(2)
        batcher.submit([run("c")], steps)
        batcher.submit([run("d")], steps)
        started(engine)
    assert engine.batches == [["a", "b"], ["c", "d"]]


def test_models_share_the_cores_and_each_may_always_run_one_batch() -> None:
    cores = Cores(2)
    one, other, steps = Gate(workers=2), Gate(workers=2), Steps()
    with batching(one, cores) as batcher, batching(other, cores) as another:
        for number in range(4):
            batcher.submit([run(f"one-{number}", number)], steps)
        started(one), started(one)
        # both cores are busy, and yet the other model begins; its second batch waits
        another.submit([run("other-0", 0)], steps)
        another.submit([run("other-1", 1)], steps)
        started(other)
        assert not other.begun.acquire(timeout=0.1)
        # nor does the first model's second worker go on while two batches run
        one.go.release()
        steps.wait(1)
        assert not one.begun.acquire(timeout=0.1)
        one.go.release()
        started(one)
        assert not one.begun.acquire(timeout=0.1)
        # when the other model has nothing to do any more, both cores are the first one's
        other.go.release()
        started(other)
        one_before = len(one.batches)
        other.go.release()
        started(one)
        assert (one_before, len(one.batches), len(other.batches)) == (3, 4, 2)
