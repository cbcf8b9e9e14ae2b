"""One loaded model: takes jobs, gives events. What lies between the two is this folder's business.

A request's way: its jobs are prepared in a thread (prompt, tokens, limits, options), submitted to the engine as runs,
and the steps that come back become text. Made by `pipeline/pool.py`, used by the routes.
"""

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from alcove.config.settings import ModelSettings
from alcove.engines.base import Engine, Vocabulary
from alcove.engines.faults import error_of
from alcove.errors import AlcoveError, Overloaded
from alcove.jobs import Event, Job
from alcove.metrics import Metrics
from alcove.metrics.record import Record, current
from alcove.pipeline.cores import Cores
from alcove.pipeline.deadlines import Deadlines
from alcove.pipeline.isolated import IsolatedEngine, open_isolated
from alcove.pipeline.mailbox import Mailbox
from alcove.pipeline.output import Output
from alcove.pipeline.prepare import Plan, Preparer
from alcove.pipeline.serving import open_serving
from alcove.pipeline.tokenizer import load_tokenizer
from alcove.pipeline.watch import Watch
from alcove.runs import Step
from alcove.store.folder import ModelFolder

_preparing = ThreadPoolExecutor(max_workers=2, thread_name_prefix="alcove-prepare")
"""Two threads for the prompts of all models: each has a cache of words for each tokenizer, and more of them would only
wait for the interpreter."""


class Model:
    """A model that is loaded and answers."""

    def __init__(
        self,
        settings: ModelSettings,
        engine: Engine,
        preparer: Preparer,
        mailbox: Mailbox,
        watch: Watch,
        metrics: Metrics,
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self._engine = engine
        self._preparer = preparer
        self._mailbox = mailbox
        self._watch = watch
        self._preparing = 0
        """Requests that are on their way to the engine: of many that come in one moment, those beyond its room are
        refused before they cost a thread's time."""
        self._counts = metrics.of(settings.name)
        self._counts.engine = weakref.ref(engine)

    @classmethod
    def load(
        cls,
        folder: ModelFolder,
        settings: ModelSettings,
        metrics: Metrics,
        cores: Cores,
        loop: asyncio.AbstractEventLoop,
        on_death: Callable[[str], None],
    ) -> "Model":
        """Read the folder's model from disk. Blocks; raises `ModelLoadError` or `ConfigurationError`. Answers will be
        awaited on `loop`.

        `on_death` is told in one line, in any thread, when the engine hangs, or its process has crashed time and again;
        it must neither wait nor close the model. Either may go on later: `trouble` says how things are.
        """
        tokenizer = load_tokenizer(folder, settings)
        vocabulary = Vocabulary(tokenizer.source_tokens, tokenizer.target_tokens)
        sizes = metrics.of(settings.name).batch_sizes
        engine: Engine
        on_stall = on_death
        if settings.isolation == "process":
            engine = isolated = open_isolated(folder, settings, vocabulary, on_death, sizes)
            on_stall = isolated.restart
        else:
            engine = open_serving(folder, settings, vocabulary, cores, sizes)
        try:
            preparer = Preparer(folder, settings, tokenizer, engine)
        except BaseException:
            engine.close()
            raise
        watch = Watch(settings.name, settings.stall_timeout_s, loop, lambda: engine.silent_s, on_stall)
        return cls(settings, engine, preparer, Mailbox(loop), watch, metrics)

    def need_room(self) -> None:
        """Raise `Overloaded` where `answer` would now: a refusal costs least before anything is made for it. The
        request's record is told the model, whatever becomes of it."""
        if (record := current.get()) is not None:
            record.model = self.name
        if (room := self._engine.room) is not None and room <= self._preparing:
            raise Overloaded(f"All workers are busy and {self._engine.waiting + self._preparing} requests are waiting.")

    async def answer(self, jobs: Sequence[Job], *, gather_s: float = 0.0) -> AsyncGenerator[list[Event], None]:
        """The events of these jobs, as they come, those that came together at once; ends when all outputs have ended.
        Whom only the ends concern lets news gather for `gather_s` seconds.

        Raises `InvalidRequest` or `Overloaded` before the first event, and `EngineFailure`, `DeadlineExceeded` or
        `OutOfMemory` at any time. Closing the generator cancels what still runs.
        """
        self.need_room()
        record = current.get() or Record()
        loop = asyncio.get_running_loop()
        self._preparing += 1
        try:
            plans = await loop.run_in_executor(_preparing, self._preparer.prepare, jobs)
        finally:
            self._preparing -= 1
        running = {plan.run.id: plan for plan in plans}
        reader = self._mailbox.open(running, gather_s, lambda: self._cancel(running))
        deadlines = Deadlines(self.settings, reader, loop)
        self._watch.enter()
        ended: str | None = None
        try:
            self._engine.submit([plan.run for plan in plans], self._mailbox.put)
            self._counts.request()
            ended = "abort"
            while running:
                steps = await reader.take()
                if steps:
                    self._watch.news()
                if events := _events(steps, running):
                    self._count(record, steps, events)
                    yield events
                if failed := next((step for step in steps if step.error is not None), None):
                    raise error_of(failed)
                for run_id in [run_id for run_id, plan in running.items() if plan.ended]:
                    del running[run_id]
                    self._engine.cancel(run_id)  # a stop string has ended it: the engine need not go on
            ended = record.finish or "stop"
        except AlcoveError:
            ended = ended and "error"
            raise
        finally:
            self._cancel(running)
            reader.close()
            deadlines.close()
            self._watch.leave()
            if ended is not None:
                self._counts.end(record, ended, time.perf_counter())

    def _cancel(self, runs: Iterable[str]) -> None:
        for run_id in runs:
            self._engine.cancel(run_id)

    def _count(self, record: Record, steps: Iterable[Step], events: Iterable[Event]) -> None:
        """Count what has just come, and note when."""
        now = time.perf_counter()
        if record.first_at is None:
            for step in steps:
                if step.times is not None:
                    self._counts.first(record, step.times)
                    break
        for event in events:
            output = event.job, event.output
            self._counts.piece(record, output, event.prompt_tokens, event.tokens, event.finish, now)

    async def tokenize(self, job: Job) -> tuple[int, ...]:
        """The ids of a job's prompt, as `answer` would encode it. Raises `InvalidRequest`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_preparing, self._preparer.encoder.source, job)

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of ids, special tokens included. Raises `InvalidRequest` for an id that there is not."""
        return await asyncio.get_running_loop().run_in_executor(_preparing, self._preparer.decode, tokens)

    def token_strings(self, tokens: Sequence[int]) -> list[str]:
        """The strings of a prompt's ids, as the vocabulary writes them."""
        return self._preparer.token_strings(tokens)

    @property
    def max_tokens(self) -> int:
        """Most tokens that the model takes: a prompt's, a causal model's answer counted."""
        return self._preparer.max_tokens

    @property
    def trouble(self) -> str | None:
        """Why the model cannot answer now, in one line: its engine hangs, or its process is being started again; None
        when it can."""
        down = self._engine.trouble if isinstance(self._engine, IsolatedEngine) else None
        return down or self._watch.trouble

    def close(self) -> None:
        """End all runs and release the model. Blocks until the engine has let go."""
        self._engine.close()


def _events(steps: Iterable[Step], running: Mapping[str, Plan]) -> list[Event]:
    """Hand steps to their outputs; an event of each output that has news."""
    touched: dict[Output, Plan] = {}
    for step in steps:
        plan = running.get(step.run)
        if plan is None or step.error is not None:
            continue
        if step.prompt_logprobs:
            for output in plan.outputs:
                output.give(step.prompt_logprobs)
        output = plan.outputs[step.output]
        if output.finish is None:
            output.take(step)
            touched[output] = plan
    events: list[Event] = []
    for output, plan in touched.items():
        events += [output.event()] if plan.best_of is None else plan.best_of.events()
    return events
