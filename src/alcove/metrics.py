"""What the server counts, exposed twice: for Prometheus, and as the JSON that transformers-openai-api served.

Labels come from configured model names only, so that no client can grow the number of series.
"""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, generate_latest


class ModelCounts:
    """The counters of one model, found once: they are written for every piece of every answer."""

    def __init__(self, requests: Counter, prompt: Counter, completion: Counter) -> None:
        self.calls = 0
        self.prompt = 0
        self.completion = 0
        self._requests, self._prompt, self._completion = requests, prompt, completion

    def request(self) -> None:
        """A request was accepted by the model."""
        self.calls += 1
        self._requests.inc()

    def tokens(self, prompt: int, completion: int) -> None:
        """Tokens that a piece of an answer accounts for."""
        if prompt:
            self.prompt += prompt
            self._prompt.inc(prompt)
        self.completion += completion
        self._completion.inc(completion)

    def as_json(self) -> dict[str, int]:
        """In the keys of transformers-openai-api."""
        return _totals(self.prompt, self.completion)


def _totals(prompt: int, completion: int) -> dict[str, int]:
    return {
        "total_prompt_tokens": prompt,
        "total_completion_tokens": completion,
        "total_total_tokens": prompt + completion,
    }


class Metrics:
    """Counters of one server. Written on the event loop only."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._models: dict[str, ModelCounts] = {}
        self._requests = self._counter("alcove:requests", "Requests that reached a model.")
        self._prompt = self._counter("alcove:prompt_tokens", "Prompt tokens taken.")
        self._completion = self._counter("alcove:generation_tokens", "Completion tokens answered.")

    def of(self, model: str) -> ModelCounts:
        """The counters of this model."""
        if model not in self._models:
            counters = (counter.labels(model) for counter in (self._requests, self._prompt, self._completion))
            self._models[model] = ModelCounts(*counters)
        return self._models[model]

    def as_json(self) -> dict[str, Any]:
        """Totals and a row a model, in the keys of transformers-openai-api's `/v1/metrics`."""
        called = {name: counts for name, counts in self._models.items() if counts.calls}
        total = _totals(
            sum(counts.prompt for counts in called.values()), sum(counts.completion for counts in called.values())
        )
        return {**total, "model_metrics": {name: {**c.as_json(), "calls": c.calls} for name, c in called.items()}}

    def as_text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(name, meaning, ["model_name"], registry=self.registry)
