"""Batchers that share their cores, under whatever callers, engines, threads and the clock do, in any order."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alcove.engines.base import BatchSink, Capabilities
from alcove.errors import Overloaded, ShuttingDown
from alcove.pipeline import batcher as batchers
from alcove.pipeline import cores as budgets
from alcove.pipeline import entries
from alcove.pipeline.batcher import Batcher
from alcove.pipeline.cores import Cores
from alcove.runs import Run, Step

from .scheduled import Schedule

INDEX = st.integers(0, 20)


@dataclass(eq=False)
class Known:
    """What the test knows of a run."""

    run: Run
    request: int
    begins_by: int | None
    """The number of the model's batch with which it must begin, or go on, at the latest; None until it is in line."""
    waits: bool = True
    begun: bool = False
    """It has been in a batch."""
    told: bool = False
    cancelled: bool = False
    finished: set[int] = field(default_factory=set)
    error: str | None = None

    @property
    def over(self) -> bool:
        return self.error is not None or len(self.finished) == self.run.outputs


@dataclass(eq=False)
class Batch:
    """One that is in the engine."""

    runs: dict[str, Run]
    sink: BatchSink
    unwanted: set[str] = field(default_factory=set)
    """Rows that have ended."""
    outputs: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    result: list[Run] | Exception | None = None
    """What the engine is about to give back, or to raise."""

    def add(self, name: str, **news: Any) -> None:
        if name not in self.unwanted and self.sink.add(Step(run=name, **news)):
            self.unwanted.add(name)

    def finish(self, name: str) -> None:
        self.add(name, output=self.outputs[name], finish="stop")
        self.outputs[name] += 1
        if self.outputs[name] == self.runs[name].outputs:
            self.unwanted.add(name)


class Model:
    """A batcher, its engine, and what is known of its runs."""

    capabilities = Capabilities(engine="played", options={})

    def __init__(self, machine: "Batching", workers: int, cores: int, limits: dict[str, int]) -> None:
        self.machine, self.workers, self.cores, self.limits = machine, workers, cores, limits
        self.known: dict[str, Known] = {}
        self.batches = 0
        self.at_work: list[Batch] = []
        self.closing = False
        self.released = False
        self.batcher = Batcher(self, machine.cores, **limits)

    # the engine

    def check(self, run: Run) -> None:
        """Nothing to refuse."""

    def batch_key(self, run: Run) -> Hashable:
        return run.tokens[0]

    def length(self, run: Run) -> int:
        return len(run.tokens) + len(run.made)

    def cost(self, runs: Sequence[Run]) -> float:
        return max(map(self.length, runs)) + len(runs)

    def run(self, runs: Sequence[Run], sink: BatchSink) -> Sequence[Run]:
        batch = Batch({run.id: run for run in runs}, sink)
        self.at_work.append(batch)
        try:
            self.begins(batch)
        except AssertionError as broken:  # the batcher would take it for an engine's fault
            self.machine.broken.append(broken)
        self.machine.schedule.pause(lambda: batch.result is not None)
        self.at_work.remove(batch)
        if isinstance(batch.result, Exception):
            raise batch.result
        return batch.result or []

    def close(self) -> None:
        assert not self.at_work, "a model that is being used must not be released"
        assert not self.released
        self.released = True

    # what is known

    @property
    def waiting(self) -> list[Known]:
        return [one for one in self.known.values() if one.waits and not one.cancelled and not one.over]

    @property
    def requests(self) -> int:
        return len({one.request for one in self.waiting if not one.begun})

    def begins(self, batch: Batch) -> None:
        """A batch begins: the policy's promises."""
        self.batches += 1
        ones = [self.known[name] for name in batch.runs]
        assert 1 <= len(ones) <= self.limits["max_batch_size"]
        assert len({one.run.tokens[0] for one in ones}) == 1, "runs of different keys"
        tokens = max(self.length(one.run) for one in ones) * len(ones)
        assert len(ones) == 1 or tokens <= self.limits["max_batch_tokens"]
        for one in ones:
            assert one.waits
            assert not one.cancelled
            assert not one.over
            assert one.begins_by is None or self.batches <= one.begins_by, "more than two batches a run before it"
        fresh = [one for one in ones if not one.begun]
        for one in ones:
            one.waits, one.begun = False, True
        for late in fresh:
            passed = (one for one in self.waiting if not one.begun and one.run.tokens == late.run.tokens)
            assert all(list(self.known).index(late.run.id) < list(self.known).index(one.run.id) for one in passed)
        assert len(self.at_work) <= self.workers
        if self.cores and len(self.at_work) > 1:
            assert self.machine.busy_cores <= self.machine.budget, "a further batch, and no cores for it"
            assert len(self.at_work) <= self.share, "more than its share"

    @property
    def share(self) -> int:
        """Batches that may run at the same time, one apart, which always may."""
        rivals = [other for other in self.machine.models if other is not self and other.cores and not other.given_up]
        active = 1 + sum(bool(other.batcher._cores.batches or len(other.batcher._queue)) for other in rivals)
        return max(1, -(-self.machine.budget // active) // self.cores)

    def take(self, steps: Sequence[Step]) -> None:
        """The sink."""
        for step in steps:
            one = self.known[step.run]
            assert not one.over, "news after the end"
            assert not one.cancelled, "news after it was cancelled"
            if step.began:
                assert not one.told, "begun twice"
                one.told = True
            elif step.finish is not None:
                assert step.output not in one.finished, "ended twice"
                one.finished.add(step.output)
            elif step.error is not None:
                one.error = step.error

    @property
    def given_up(self) -> bool:
        return self.batcher._cores not in self.machine.cores._shares

    @property
    def lock_is_free(self) -> bool:
        return not self.batcher._lock.held  # type: ignore[attr-defined]


class Batching(RuleBasedStateMachine):
    """Two models and those that take their places when they are loaded anew."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = Schedule()
        self.broken: list[AssertionError] = []
        self.models: list[Model] = []
        self.patch = pytest.MonkeyPatch()
        for module in (batchers, budgets):
            self.patch.setattr(module, "threading", self.schedule)
        for module in (batchers, entries):
            self.patch.setattr(module, "time", self.schedule)

    @initialize(budget=st.integers(1, 4), data=st.data())
    def begin_with(self, budget: int, data: st.DataObject) -> None:
        self.budget = budget
        self.cores = Cores(budget)
        self.requests = 0
        for _ in range(2):
            limits = {
                "max_queue": data.draw(st.integers(1, 4)),
                "max_batch_size": data.draw(st.integers(1, 4)),
                "max_batch_tokens": data.draw(st.integers(4, 20)),
            }
            self.models.append(Model(self, data.draw(st.integers(1, 3)), data.draw(st.integers(0, 2)), limits))

    @property
    def busy_cores(self) -> int:
        """Those of an engine that hangs and was given up among them."""
        return sum(len(model.at_work) * model.cores for model in self.models)

    def model(self, index: int) -> Model:
        """One of them, whose lock nobody holds."""
        model = self.models[index % len(self.models)]
        self.schedule.pause(lambda: model.lock_is_free)
        return model

    @property
    def in_work(self) -> list[tuple[Model, Batch]]:
        return [(model, batch) for model in self.models for batch in model.at_work if batch.result is None]

    def batch(self, index: int) -> tuple[Model, Batch]:
        return self.in_work[index % len(self.in_work)]

    # callers

    @rule(
        which=INDEX,
        shapes=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 6), st.integers(1, 2)), min_size=1, max_size=3),
    )
    def submit(self, which: int, shapes: list[tuple[int, int, int]]) -> None:
        model = self.model(which)
        self.requests += 1
        runs = [
            Run(id=f"{self.requests}-{n}", tokens=(key,) * length, max_new_tokens=9, outputs=outputs)
            for n, (key, length, outputs) in enumerate(shapes)
        ]
        fresh = sum(not one.begun for one in model.waiting)
        room = model.requests < model.limits["max_queue"] + model.batcher._idle
        closed = model.batcher._closed
        try:
            model.batcher.submit(runs, model.take)
        except (Overloaded, ShuttingDown) as refusal:
            assert closed == isinstance(refusal, ShuttingDown)  # noqa: PT017 - what is expected depends on the state
            assert closed or not room
            return
        assert room
        assert not closed
        for place, run in enumerate(runs, 1):
            model.known[run.id] = Known(run, self.requests, begins_by=model.batches + 2 * (fresh + place))

    @rule(which=INDEX, run=INDEX)
    def cancel(self, which: int, run: int) -> None:
        model = self.model(which)
        ones = list(model.known.values())
        one = ones[-1 - run % len(ones)] if ones else None
        model.batcher.cancel("unknown" if one is None else one.run.id)
        if one is not None:
            one.cancelled = True

    # the engines

    @precondition(lambda self: self.in_work)
    @rule(which=INDEX, row=INDEX, news=st.sampled_from(["token", "end", "error"]))
    def make_a_step(self, which: int, row: int, news: str) -> None:
        _, batch = self.batch(which)
        name = list(batch.runs)[row % len(batch.runs)]
        if news == "end":
            batch.finish(name)
        elif news == "token":
            batch.add(name, tokens=(1,))
        else:
            batch.add(name, error="this one is bad")
            batch.unwanted.add(name)

    @precondition(lambda self: self.in_work)
    @rule(which=INDEX)
    def flush(self, which: int) -> None:
        self.batch(which)[1].sink.flush()

    @precondition(lambda self: self.in_work)
    @rule(which=INDEX, fates=st.lists(st.sampled_from(["end", "go on", "forgotten"]), min_size=4, max_size=4))
    def end_a_batch(self, which: int, fates: list[str]) -> None:
        model, batch = self.batch(which)
        going: list[Run] = []
        for (name, run), fate in zip(batch.runs.items(), fates, strict=False):
            if fate == "end":
                while name not in batch.unwanted:
                    batch.finish(name)
            elif fate == "go on" and name not in batch.unwanted and not batch.outputs[name]:
                going.append(replace(run, made=(*run.made, 1)))
        batch.result = going
        for run in going:
            one = model.known[run.id]
            one.run = run
            one.waits, one.begins_by = True, None

    @precondition(lambda self: self.in_work)
    @rule(which=INDEX)
    def fail(self, which: int) -> None:
        self.batch(which)[1].result = RuntimeError("broken")

    # threads and time

    @precondition(lambda self: self.schedule.runnable)
    @rule(which=INDEX)
    def take_a_turn(self, which: int) -> None:
        runnable = self.schedule.runnable
        self.schedule.run(runnable[which % len(runnable)])

    @rule(seconds=st.sampled_from([0.01, 0.05, 1.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.schedule.now += seconds

    @rule()
    def rest(self) -> None:
        """All threads have done what they can: the counts are exact, and nobody waits who could begin."""
        self.schedule.settle()
        for model in self.models:
            batcher, running = model.batcher, sum(len(batch.runs) for batch in model.at_work)
            assert sum(len(outbox.batch) for outbox in batcher._outboxes) == running
            assert batcher._cores.batches == len(model.at_work)
            if model.closing:
                continue
            assert batcher._idle == model.workers - len(model.at_work)
            assert len(batcher._queue) == len(model.waiting)
            queued = {one.run.id for one in model.waiting}
            in_batches = {name for batch in model.at_work for name in batch.runs}
            assert set(batcher._entries) == queued | {name for name in in_batches if not model.known[name].cancelled}
            gathering = any(waiter.company > 1 for waiter in batcher._waiters)
            if queued and batcher._idle and not gathering:
                assert model.at_work, "an idle model lets runs wait"
                assert model.cores
                room = self.busy_cores + model.cores <= self.budget and len(model.at_work) < model.share
                left = any(
                    other.given_up for other in self.models
                )  # who leaves wakes nobody: at the next end of a batch
                assert left or not room, "runs wait, and there are a worker and cores for them"

    # coming and going

    @rule(which=INDEX)
    def close(self, which: int) -> None:
        model = self.model(which)
        if not model.closing:
            model.closing = True
            self.schedule.Thread(target=model.batcher.close, name="closing", daemon=True).start()

    @precondition(lambda self: len(self.models) < 4)
    @rule(which=INDEX)
    def load_anew(self, which: int) -> None:
        old = self.model(which)
        self.models.append(Model(self, old.workers, old.cores, old.limits))
        self.close(self.models.index(old))

    @invariant()
    def holds(self) -> None:
        if self.broken:
            raise self.broken[0]
        for model in self.models:
            batcher = model.batcher
            assert 0 <= batcher._idle <= model.workers
            for place, name in enumerate(batcher._queue._going, 1):
                if model.known[name].begins_by is None:
                    model.known[name].begins_by = model.batches + 2 * place
            if not model.closing and model.lock_is_free:
                assert batcher.waiting == model.requests
                assert batcher.waiting <= model.limits["max_queue"] + model.workers

    def teardown(self) -> None:
        try:
            self.everything_ends()
        finally:
            self.schedule.end()
            self.patch.undo()

    def everything_ends(self) -> None:
        """What has begun ends by itself, and what is closed leaves nothing behind."""
        self.work_until(lambda: not any(model.waiting for model in self.models if not model.closing))
        for index in range(len(self.models)):
            self.close(index)
        self.work_until(lambda: all(thread.ended for thread in self.schedule.threads))
        for model in self.models:
            assert all(one.over or one.cancelled for one in model.known.values()), "a run without an end"
            assert (model.batcher._outboxes, model.batcher._cores.batches) == (set(), 0)
        if self.models:
            assert not self.cores._shares
            self.holds()

    def work_until(self, done: Callable[[], bool]) -> None:
        """Let the engines end their batches one after the other."""
        self.schedule.settle()
        for _ in range(1000):
            if done():
                return
            for _, batch in self.in_work:
                for name in batch.runs:
                    while name not in batch.unwanted:
                        batch.finish(name)
                batch.result = []
            self.schedule.now += 1.0
            self.schedule.settle()
        raise AssertionError("the engines work, and runs wait")


TestBatching = Batching.TestCase
TestBatching.settings = settings(stateful_step_count=60)
