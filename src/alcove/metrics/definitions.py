"""Every metric of ours: name, kind, meaning, labels, buckets. Names are vLLM's where it has the same, under `alcove:`.

Read by `series.py`, which exposes them, and by the page of docs/observability.md.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0)
"""Bounds for times of a request."""
TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds for times of a token."""
LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
TOKENS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0)
RUNS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)

FINISHED_REASONS = ("stop", "length", "abort", "error")
"""Why requests end, in vLLM's words."""
LOAD_OUTCOMES = ("loaded", "failed")
"""What becomes of a model that is read from disk."""
MODEL_STATES = ("absent", "loading", "ready", "unloading", "failed")
"""What may be said of a model with `Metrics.model_state`."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One family of series."""

    name: str
    """As Prometheus shows it, without the `_total`, `_bucket`, `_sum` and `_count` of its series."""
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ("model_name",)
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram; one above all is added."""


def _times(name: str, meaning: str, buckets: tuple[float, ...] = SECONDS) -> Definition:
    return Definition(f"alcove:{name}_seconds", "histogram", meaning, buckets=buckets)


DEFINITIONS: dict[str, Definition] = {
    definition.name: definition
    for definition in (
        Definition("alcove:requests", "counter", "Requests that reached a model."),
        Definition("alcove:prompt_tokens", "counter", "Prompt tokens taken."),
        Definition("alcove:generation_tokens", "counter", "Completion tokens answered."),
        Definition(
            "alcove:request_success",
            "counter",
            "Requests that a model has ended, by reason: stop, length, abort (the client left), error.",
            ("model_name", "finished_reason"),
        ),
        Definition("alcove:num_requests_running", "gauge", "Requests that the engine works on."),
        Definition("alcove:num_requests_waiting", "gauge", "Requests that wait for the engine."),
        _times("time_to_first_token", "From the request's arrival to its first token."),
        _times("inter_token_latency", "Between two tokens of an answer.", TOKEN_SECONDS),
        _times("request_time_per_output_token", "Mean time between the tokens of a request.", TOKEN_SECONDS),
        _times("e2e_request_latency", "From a request's arrival to its end."),
        _times("request_queue_time", "From a request's arrival to the start of its first batch."),
        _times("request_prefill_time", "From the start of the first batch to the first token."),
        _times("request_decode_time", "From the first token to the last."),
        _times("request_inference_time", "From the start of the first batch to the last token."),
        Definition(
            "alcove:request_prompt_tokens", "histogram", "Prompt tokens of requests that ended well.", buckets=TOKENS
        ),
        Definition(
            "alcove:request_generation_tokens",
            "histogram",
            "Completion tokens of requests that ended well.",
            buckets=TOKENS,
        ),
        Definition("alcove:batch_size", "histogram", "Runs in a closed batch when it starts.", buckets=RUNS),
        Definition(
            "alcove:model_state",
            "gauge",
            "1 for the state that the model is in: absent, loading, ready, unloading, failed.",
            ("model_name", "state"),
        ),
        Definition(
            "alcove:model_loads",
            "counter",
            "Times that the model was read from disk, by outcome: loaded, failed. After a failed reload the old one "
            "answers on.",
            ("model_name", "outcome"),
        ),
        Definition(
            "alcove:model_memory_bytes", "gauge", "Memory that the model takes, as measured when it was loaded."
        ),
        Definition(
            "alcove:http_responses",
            "counter",
            "HTTP answers by class of status, and by error code where there is one.",
            ("status", "code"),
        ),
        Definition(
            "alcove:connections_refused",
            "counter",
            "Connections closed for what came over them, before it was a request: malformed, too large, too late, or "
            "one connection too many.",
            ("code",),
        ),
        Definition(
            "alcove:event_loop_lag_seconds",
            "histogram",
            "How late the event loop is: above 0.1 s, something blocks it.",
            (),
            LAG_SECONDS,
        ),
    )
}
"""All of them, by name."""
