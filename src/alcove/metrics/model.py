"""The series of one model, found once: they are written for every piece of every answer, by `pipeline/model.py`."""

from collections.abc import Callable, Hashable
from typing import Protocol

from alcove.metrics.definitions import FINISHED_REASONS, LOAD_OUTCOMES, MODEL_STATES
from alcove.metrics.record import Record
from alcove.metrics.series import Series


class Waiting(Protocol):
    """An engine, as far as it concerns us."""

    @property
    def waiting(self) -> int:
        """Requests that have been submitted and of which a run has not begun."""


class ModelCounts:
    """What one model has done. Written on the event loop, `batch_sizes` by the batcher under its lock."""

    def __init__(self, name: str, series: Series) -> None:
        self.engine: Callable[[], Waiting | None] = lambda: None
        """The model's present engine, by a weak reference: it must go when the model is unloaded."""
        self.batch_sizes = series.histogram("alcove:batch_size", name)
        """Runs in a batch."""
        self._calls = series.number("alcove:requests", name)
        self._prompt = series.number("alcove:prompt_tokens", name)
        self._completion = series.number("alcove:generation_tokens", name)
        self._ended = {reason: series.number("alcove:request_success", name, reason) for reason in FINISHED_REASONS}
        self._open = 0
        self._running = series.number("alcove:num_requests_running", name)
        self._waiting = series.number("alcove:num_requests_waiting", name)
        self._first = series.histogram("alcove:time_to_first_token_seconds", name)
        self._between = series.histogram("alcove:inter_token_latency_seconds", name)
        self._mean_between = series.histogram("alcove:request_time_per_output_token_seconds", name)
        self._whole = series.histogram("alcove:e2e_request_latency_seconds", name)
        self._queue = series.histogram("alcove:request_queue_time_seconds", name)
        self._prefill = series.histogram("alcove:request_prefill_time_seconds", name)
        self._decode = series.histogram("alcove:request_decode_time_seconds", name)
        self._inference = series.histogram("alcove:request_inference_time_seconds", name)
        self._prompts = series.histogram("alcove:request_prompt_tokens", name)
        self._completions = series.histogram("alcove:request_generation_tokens", name)
        self._states = {state: series.number("alcove:model_state", name, state) for state in MODEL_STATES}
        self._loads = {outcome: series.number("alcove:model_loads", name, outcome) for outcome in LOAD_OUTCOMES}
        self._memory = series.number("alcove:model_memory_bytes", name)

    @property
    def calls(self) -> int:
        """Requests that reached the model."""
        return int(self._calls.value)

    @property
    def prompt(self) -> int:
        """Prompt tokens taken."""
        return int(self._prompt.value)

    @property
    def completion(self) -> int:
        """Completion tokens answered."""
        return int(self._completion.value)

    def request(self) -> None:
        """A request was accepted by the model; `end` follows."""
        self._calls.value += 1
        self._open += 1

    def first(self, record: Record, times: tuple[float, float]) -> None:
        """When the request's first batch began, and when it made its first token, as the engine tells."""
        if record.first_at is None:
            record.batch_at, record.first_at = times
            self._first.observe(record.first_at - record.begun)

    def piece(
        self, record: Record, output: Hashable, prompt: int, completion: int, finish: str | None, now: float
    ) -> None:
        """Tokens that a piece of one output accounts for, which came at `now`."""
        if prompt:
            self._prompt.value += prompt
            record.prompt_tokens += prompt
        if completion:
            self._completion.value += completion
            record.completion_tokens += completion
            if record.first_at is None:
                record.first_at = now
                self._first.observe(now - record.begun)
            if (before := record.latest.get(output)) is not None:
                self._between.observe((now - before) / completion, completion)
            elif not record.latest and completion > 1 and now > record.first_at:  # when others began is not known
                self._between.observe((now - record.first_at) / (completion - 1), completion - 1)
            record.latest[output] = now
        if finish is not None and record.finish != "length":
            record.finish = finish

    def end(self, record: Record, reason: str, now: float) -> None:
        """The request has ended: `stop` or `length`, or `abort` when it was given up, or `error`."""
        self._open -= 1
        self._ended[reason].value += 1
        if reason not in ("stop", "length"):
            return
        self._whole.observe(now - record.begun)
        self._prompts.observe(record.prompt_tokens)
        self._completions.observe(record.completion_tokens)
        if (first := record.first_at) is None:
            return
        self._decode.observe(now - first)
        if record.completion_tokens > 1:
            self._mean_between.observe((now - first) / (record.completion_tokens - 1))
        if (batch := record.batch_at) is not None:
            self._queue.observe(batch - record.begun)
            self._prefill.observe(first - batch)
            self._inference.observe(now - batch)

    def state(self, state: str, memory_bytes: int) -> None:
        """What state the model is in, one of `MODEL_STATES`, and the memory that it takes."""
        for known, number in self._states.items():
            number.value = int(known == state)
        self._memory.value = memory_bytes

    def load(self, outcome: str) -> None:
        """The model was read from disk, with one of `LOAD_OUTCOMES`."""
        self._loads[outcome].value += 1

    def look(self) -> None:
        """Ask how many requests wait; the others that are open are running."""
        engine = self.engine()
        waiting = 0 if engine is None else engine.waiting
        self._waiting.value = waiting
        self._running.value = max(self._open - waiting, 0)
