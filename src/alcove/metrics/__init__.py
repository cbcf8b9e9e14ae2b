"""What the server counts, exposed twice: for Prometheus, and as the JSON that transformers-openai-api served.

Labels come from configured model names and tables of ours only, so that no client can grow the number of series.
"""

from threading import Lock
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest

from alcove.metrics.model import ModelCounts
from alcove.metrics.series import Series

__all__ = ["Metrics", "ModelCounts"]


def _totals(prompt: int, completion: int) -> dict[str, int]:
    return {
        "total_prompt_tokens": prompt,
        "total_completion_tokens": completion,
        "total_total_tokens": prompt + completion,
    }


class Metrics:
    """The series of one server. Written on the event loop; models are added in the threads that load them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._series = Series()
        self._models: dict[str, ModelCounts] = {}
        self._adding = Lock()
        self.loop_lag = self._series.histogram("alcove:event_loop_lag_seconds")
        """How late the event loop was, in seconds; written by `server/loop_lag.py`."""
        self._registry.register(self._series)
        for standard in (ProcessCollector, PlatformCollector, GCCollector):
            standard(registry=self._registry)

    def of(self, model: str) -> ModelCounts:
        """The series of this model, by its configured name."""
        with self._adding:
            if model not in self._models:
                self._models[model] = ModelCounts(model, self._series)
            return self._models[model]

    def model_state(self, model: str, state: str, memory_bytes: int = 0) -> None:
        """What state the model is in, one of `definitions.MODEL_STATES`, and the memory that it takes."""
        self.of(model).state(state, memory_bytes)

    def response(self, status: int, code: str | None) -> None:
        """An HTTP answer, with its error's code, which must be one of a table of ours."""
        self._series.number("alcove:http_responses", f"{status // 100}xx", code or "").value += 1

    def connection_refused(self, code: str) -> None:
        """A connection that the HTTP protocol has closed, for the reason of this code of a table of ours."""
        self._series.number("alcove:connections_refused", code).value += 1

    def as_json(self) -> dict[str, Any]:
        """Totals and a row a model, in the keys of transformers-openai-api's `/v1/metrics`."""
        called = {name: counts for name, counts in tuple(self._models.items()) if counts.calls}
        total = _totals(
            sum(counts.prompt for counts in called.values()), sum(counts.completion for counts in called.values())
        )
        rows = {name: {**_totals(c.prompt, c.completion), "calls": c.calls} for name, c in called.items()}
        return {**total, "model_metrics": rows}

    def as_text(self) -> bytes:
        """Prometheus' text format."""
        for counts in tuple(self._models.values()):
            counts.look()
        return generate_latest(self._registry)
