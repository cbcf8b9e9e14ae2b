"""One loaded model: takes jobs, gives events. What lies between the two is this folder's business.

A request's way: its jobs are prepared in a thread (prompt, tokens, limits, options), submitted to the engine as runs,
and the steps that come back become text. Made by `pipeline/pool.py`, used by the routes.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from pathlib import Path

from alcove.config.settings import ModelSettings
from alcove.engines.base import Engine, Vocabulary
from alcove.engines.registry import open_beside, open_engine
from alcove.errors import EngineFailure
from alcove.jobs import Event, Job
from alcove.metrics import Metrics
from alcove.pipeline.batcher import Batcher
from alcove.pipeline.cores import Cores
from alcove.pipeline.mailbox import Mailbox
from alcove.pipeline.output import Output
from alcove.pipeline.prepare import Plan, Preparer
from alcove.pipeline.routed import Routed
from alcove.pipeline.tokenizer import load_tokenizer
from alcove.runs import Step
from alcove.store.find import find
from alcove.store.recognise import recognise


class Model:
    """A model that is loaded and answers."""

    def __init__(
        self, settings: ModelSettings, engine: Engine, preparer: Preparer, mailbox: Mailbox, metrics: Metrics
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.loaded_at = int(time.time())
        """Seconds since 1970."""
        self._engine = engine
        self._preparer = preparer
        self._mailbox = mailbox
        self._counts = metrics.of(settings.name)

    @classmethod
    def load(
        cls, settings: ModelSettings, home: Path, metrics: Metrics, cores: Cores, loop: asyncio.AbstractEventLoop
    ) -> "Model":
        """Read the model from disk, pulled ones from `home`. Blocks; raises `ModelLoadError` or `ConfigurationError`.
        Answers will be awaited on `loop`."""
        folder = recognise(find(settings.source, settings.revision, settings.engine, home), settings.task)
        tokenizer = load_tokenizer(folder, settings)
        engine = open_engine(folder, settings, Vocabulary(tokenizer.source_tokens, tokenizer.target_tokens))
        beside = open_beside(engine, folder, settings)
        batcher = Batcher(
            engine,
            cores,
            max_queue=settings.max_queue,
            max_batch_size=settings.max_batch_size,
            max_batch_tokens=settings.max_batch_tokens,
        )
        serving: Engine = batcher if beside is None else Routed(beside, batcher)
        return cls(settings, serving, Preparer(folder, settings, tokenizer, serving), Mailbox(loop), metrics)

    async def answer(self, jobs: Sequence[Job], *, gather_s: float = 0.0) -> AsyncGenerator[list[Event], None]:
        """The events of these jobs, as they come, those that came together at once; ends when all outputs have ended.
        Whom only the ends concern lets news gather for `gather_s` seconds.

        Raises `InvalidRequest` or `Overloaded` before the first event, and `EngineFailure` at any time. Closing the
        generator cancels what still runs.
        """
        loop = asyncio.get_running_loop()
        plans = await loop.run_in_executor(None, self._preparer.prepare, jobs)
        running = {plan.run.id: plan for plan in plans}
        reader = self._mailbox.open(running, gather_s)
        try:
            self._engine.submit([plan.run for plan in plans], self._mailbox.put)
            self._counts.request()
            while running:
                steps = await reader.take()
                if events := _events(steps, running):
                    self._counts.tokens(sum(e.prompt_tokens for e in events), sum(e.tokens for e in events))
                    yield events
                if failed := next((step for step in steps if step.error is not None), None):
                    raise EngineFailure(f"run {failed.run} failed: {failed.error}")
                for run_id in [run_id for run_id, plan in running.items() if plan.ended]:
                    del running[run_id]
                    self._engine.cancel(run_id)  # a stop string has ended it: the engine need not go on
        finally:
            for run_id in running:
                self._engine.cancel(run_id)
            reader.close()

    async def tokenize(self, job: Job) -> tuple[int, ...]:
        """The ids of a job's prompt, as `answer` would encode it. Raises `InvalidRequest`."""
        return await asyncio.to_thread(self._preparer.encoder.source, job)

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of ids, special tokens included. Raises `InvalidRequest` for an id that there is not."""
        return await asyncio.to_thread(self._preparer.decode, tokens)

    def token_strings(self, tokens: Sequence[int]) -> list[str]:
        """The strings of a prompt's ids, as the vocabulary writes them."""
        return self._preparer.token_strings(tokens)

    @property
    def max_tokens(self) -> int:
        """Most tokens that the model takes: a prompt's, a causal model's answer counted."""
        return self._preparer.max_tokens

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
