"""Runs join and leave between two steps: an `Engine` on transformers' continuous batching, for causal models.

Made by `continuous/__init__.py` beside the closed batches of the same weights; `takes` says which runs are for it.
Steps go out in the manager's thread, the news of all rows of a step in one call.
"""

import logging
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

from alcove.engines.base import Sink
from alcove.engines.faults import STOPPING, fault_of
from alcove.engines.transformers.continuous.chooser import Chooser
from alcove.engines.transformers.continuous.going import Going, Submitted
from alcove.engines.transformers.continuous.knobs import PAGE_TOKENS
from alcove.engines.transformers.continuous.manager import Manager, twin
from alcove.engines.transformers.continuous.places import Places
from alcove.engines.transformers.engine import TransformersEngine
from alcove.engines.transformers.options import beams
from alcove.engines.transformers.rows import Row
from alcove.errors import ShuttingDown
from alcove.runs import Fault, Run, Step

logger = logging.getLogger(__name__)

_STOP_SECONDS = 30.0
"""How long `close` waits for the step that is being made."""


class ContinuousEngine:
    """The manager, and the runs that are with it."""

    def __init__(
        self,
        closed: TransformersEngine,
        *,
        pages: int,
        batch_tokens: int,
        runs: int,
        max_queue: int,
        threads: int | None,
    ) -> None:
        """`runs`: how many may go on at the same time."""
        self._closed_batches = closed
        self._model = twin(closed.model)
        self._pages = pages
        self._lock = threading.Lock()
        self._places = Places(runs, max_queue)
        self._closed = False
        self._manager: Manager | None = None
        self._make_manager = partial(
            Manager,
            pages=pages,
            batch_tokens=batch_tokens,
            runs=runs,
            threads=threads,
            chooser=Chooser(self._places.find),
            news=self._deliver,
            ended=self._ended,
        )
        self.capabilities = closed.capabilities
        """Those of the closed batches."""

    @property
    def waiting(self) -> int:
        """Requests of which a run has no token yet."""
        with self._lock:
            return self._places.waiting

    @property
    def room(self) -> int:
        """See `Engine.room`."""
        with self._lock:
            return self._places.room

    @property
    def silent_s(self) -> float:
        """See `Engine.silent_s`: how long the present step has taken so far."""
        manager = self._manager
        return 0.0 if manager is None else manager.step_s

    def takes(self, run: Run) -> bool:
        """Whether the run is for this engine: one output, no search, and room for it in the cache. The rest needs
        whole passes (`prompt_logprobs`) or what the manager has not (beams)."""
        plain = run.outputs == 1 and beams(run.options) == 1 and run.prompt_logprobs is None and run.max_new_tokens > 0
        forced = (run.forced_bos, run.forced_eos) != (None, None) or run.prefix or run.made
        # one that outgrows the cache alone would end the manager: "No requests can be scheduled"
        fits = -(-(len(run.tokens) + run.max_new_tokens) // PAGE_TOKENS) < self._pages
        return plain and not forced and fits

    def check(self, run: Run) -> None:
        """As for the closed batches."""
        self._closed_batches.check(run)

    def submit(self, runs: Sequence[Run], sink: Sink) -> None:
        """Begin these runs, all or none; see `Engine.submit`."""
        request = Submitted(len(runs))
        fresh = [self._new(run, sink, request) for run in runs]
        with self._lock:
            if self._closed:
                raise ShuttingDown(STOPPING)
            self._places.add(fresh)
            if self._manager is None:  # at first, and after a failure, whose cause may have gone
                self._manager = self._make_manager(self._model)
                self._manager.start()
            for going in fresh:
                run = going.row.run
                self._manager.add_request(
                    list(run.tokens),
                    request_id=run.id,
                    max_new_tokens=run.max_new_tokens,
                    streaming=True,
                    eos_token_id=list(going.row.ends),
                )

    def cancel(self, run_id: str) -> None:
        """Free the run's place before the next step."""
        with self._lock:
            if self._places.remove(run_id) and self._manager is not None:
                self._manager.cancel_request(run_id)

    def close(self) -> None:
        """End all runs and the thread, and let go of the weights."""
        with self._lock:
            self._closed = True
            manager = self._manager
            self._places.fail_all(STOPPING, Fault(kind="stopping"))
        if manager is not None:
            manager.finish(_STOP_SECONDS)
        self._model = None

    def _new(self, run: Run, sink: Sink, request: Submitted) -> Going:
        closed = self._closed_batches
        make_row = partial(Row, run, closed.prompter.prompt(run), closed.ids.eos)
        return Going(make_row, sink, request, closed.model.device)

    def _deliver(self, outputs: Sequence[Any]) -> None:
        """The news of one step, in the manager's thread."""
        by_sink: dict[Sink, list[Step]] = {}
        with self._lock:
            for output in outputs:
                going = self._places.find(output.request_id)
                if going is None:
                    continue
                self._places.begin(going)
                if output.error is not None:
                    going.news.append(Step(run=output.request_id, error=output.error))
                else:
                    going.take(output.generated_tokens)
                by_sink.setdefault(going.sink, []).extend(going.news)
                going.news = []
                if output.is_finished():
                    self._places.remove(output.request_id)
            for sink, steps in by_sink.items():
                sink(steps)

    def _ended(self, manager: Manager) -> None:
        """The manager's thread ends: nothing more will come of what is still with it."""
        error = manager.background_thread_status.fatal_error
        with self._lock:
            if manager is not self._manager:
                return
            self._manager = None
            if not self._closed:
                logger.error("Continuous batching has failed and begins anew with the next request", exc_info=error)
            self._places.fail_all(f"{type(error).__name__}: {error}", None if error is None else fault_of(error))
