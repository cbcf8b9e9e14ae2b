"""What the server counts, exposed twice: for Prometheus, and as the JSON that transformers-openai-api served.

Labels come from configured model names only, so that no client can grow the number of series.
"""

from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter, generate_latest


@dataclass(slots=True)
class _Tokens:
    calls: int = 0
    prompt: int = 0
    completion: int = 0

    def as_json(self) -> dict[str, int]:
        return {
            "total_prompt_tokens": self.prompt,
            "total_completion_tokens": self.completion,
            "total_total_tokens": self.prompt + self.completion,
        }


@dataclass(slots=True)
class Metrics:
    """Counters of one server. Written on the event loop only."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    _models: dict[str, _Tokens] = field(default_factory=dict)
    _requests: Counter = field(init=False)
    _prompt_tokens: Counter = field(init=False)
    _completion_tokens: Counter = field(init=False)

    def __post_init__(self) -> None:
        label = ["model_name"]
        self._requests = Counter("alcove:requests", "Requests that reached a model.", label, registry=self.registry)
        self._prompt_tokens = Counter("alcove:prompt_tokens", "Prompt tokens taken.", label, registry=self.registry)
        self._completion_tokens = Counter(
            "alcove:generation_tokens", "Completion tokens answered.", label, registry=self.registry
        )

    def count_request(self, model: str) -> None:
        """A request was accepted by this model."""
        self._tokens(model).calls += 1
        self._requests.labels(model).inc()

    def count_tokens(self, model: str, *, prompt: int, completion: int) -> None:
        """Tokens that an answer of this model accounts for."""
        tokens = self._tokens(model)
        tokens.prompt += prompt
        tokens.completion += completion
        self._prompt_tokens.labels(model).inc(prompt)
        self._completion_tokens.labels(model).inc(completion)

    def as_json(self) -> dict[str, Any]:
        """Totals and a row a model, in the keys of transformers-openai-api's `/v1/metrics`."""
        total = _Tokens(
            prompt=sum(tokens.prompt for tokens in self._models.values()),
            completion=sum(tokens.completion for tokens in self._models.values()),
        )
        models = {name: {**tokens.as_json(), "calls": tokens.calls} for name, tokens in self._models.items()}
        return {**total.as_json(), "model_metrics": models}

    def as_text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)

    def _tokens(self, model: str) -> _Tokens:
        return self._models.setdefault(model, _Tokens())
