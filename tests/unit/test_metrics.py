"""What is counted, and its two faces. prometheus-client's own types are the oracle of what Prometheus must be shown."""

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as TheirHistogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from alcove.metrics import Metrics
from alcove.metrics.definitions import DEFINITIONS
from alcove.metrics.record import Record
from alcove.metrics.series import Histogram


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def of_model(metrics: Metrics, name: str, **more: str) -> float:
    return samples(metrics.as_text())[f"alcove:{name}", frozenset({"model_name": "a", **more}.items())]


def test_json_and_prometheus_tell_the_same() -> None:
    metrics = Metrics()
    for model, prompt, completion in (("a", 3, 4), ("b", 1, 0)):
        metrics.of(model).request()
        metrics.of(model).piece(Record(), 0, prompt, completion, "stop", 1.0)
    metrics.of("never called")
    body = metrics.as_json()
    assert (body["total_prompt_tokens"], body["total_completion_tokens"], body["total_total_tokens"]) == (4, 4, 8)
    assert body["model_metrics"].keys() == {"a", "b"}
    assert body["model_metrics"]["a"] == {
        "total_prompt_tokens": 3,
        "total_completion_tokens": 4,
        "total_total_tokens": 7,
        "calls": 1,
    }
    assert of_model(metrics, "generation_tokens_total") == 4
    assert of_model(metrics, "requests_total") == 1


@given(st.lists(st.floats(0, 100, allow_nan=False) | st.sampled_from([0.1, 1.0, 5.0])))
def test_a_histogram_is_shown_as_prometheus_own(values: list[float]) -> None:
    bounds = (0.1, 1.0, 5.0)
    ours, registry = Histogram(bounds), CollectorRegistry()
    theirs = TheirHistogram("h", "h", ["l"], buckets=bounds, registry=registry)
    theirs.labels("x")
    for value in values:
        ours.observe(value)
        theirs.labels("x").observe(value)

    class Shown:
        def collect(self) -> Iterable[HistogramMetricFamily]:
            family = HistogramMetricFamily("h", "h", labels=["l"])
            ours.add_to(family, ("x",))
            yield family

    shown = CollectorRegistry()
    shown.register(Shown())
    expected = {key: value for key, value in samples(generate_latest(registry)).items() if "_created" not in key[0]}
    assert samples(generate_latest(shown)) == pytest.approx(expected)


def test_times_of_a_request() -> None:
    metrics = Metrics()
    counts, record = metrics.of("a"), Record(begun=10.0)
    counts.request()
    counts.first(record, (11.0, 11.5))
    counts.piece(record, "x", 7, 1, None, 11.6)
    counts.piece(record, "x", 0, 4, "length", 12.0)  # four tokens in 0.4 s
    counts.piece(record, "y", 0, 3, "stop", 12.0)  # another output: when its first token was made, nobody knows
    assert record.finish == "length"
    counts.end(record, "length", 12.5)
    expected = {
        "time_to_first_token_seconds": 1.5,
        "request_queue_time_seconds": 1.0,
        "request_prefill_time_seconds": 0.5,
        "request_decode_time_seconds": 1.0,
        "request_inference_time_seconds": 1.5,
        "e2e_request_latency_seconds": 2.5,
        "inter_token_latency_seconds": 0.4,
        "request_time_per_output_token_seconds": 1 / 7,
        "request_prompt_tokens": 7,
        "request_generation_tokens": 8,
    }
    assert {name: of_model(metrics, f"{name}_sum") for name in expected} == pytest.approx(expected)
    assert of_model(metrics, "inter_token_latency_seconds_count") == 4
    assert of_model(metrics, "inter_token_latency_seconds_bucket", le="0.15") == 4
    assert of_model(metrics, "request_success_total", finished_reason="length") == 1


def test_the_first_tokens_of_a_request_may_come_together() -> None:
    metrics, record = Metrics(), Record(begun=10.0)
    metrics.of("a").first(record, (11.0, 11.5))
    metrics.of("a").piece(record, "x", 7, 5, None, 12.5)  # four more tokens in a second
    assert of_model(metrics, "inter_token_latency_seconds_sum") == 1
    assert of_model(metrics, "inter_token_latency_seconds_count") == 4


def test_models_are_added_while_metrics_are_told() -> None:
    """As they are: models are loaded in threads, and Prometheus asks on the event loop."""
    metrics = Metrics()
    names = [f"model {number}" for number in range(200)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            adding = threads.map(metrics.of, [name for name in names for _ in range(4)])
            for _ in range(20):
                metrics.as_json()
            counts = [*adding]
    finally:
        sys.setswitchinterval(before)
    assert len({id(one) for one in counts}) == len(names)


def test_who_runs_and_who_waits() -> None:
    class Engine:
        waiting = 2

    metrics, engine = Metrics(), Engine()
    counts = metrics.of("a")
    counts.engine = lambda: engine
    for _ in range(5):
        counts.request()
    counts.end(Record(), "abort", 0.0)
    assert (of_model(metrics, "num_requests_running"), of_model(metrics, "num_requests_waiting")) == (2, 2)
    assert of_model(metrics, "request_success_total", finished_reason="abort") == 1
    assert of_model(metrics, "e2e_request_latency_seconds_count") == 0


def test_a_model_is_in_one_state() -> None:
    metrics = Metrics()
    metrics.model_state("a", "loading")
    metrics.model_state("a", "ready", 1000)
    states = {state: of_model(metrics, "model_state", state=state) for state in ("absent", "loading", "ready")}
    assert states == {"absent": 0, "loading": 0, "ready": 1}
    assert of_model(metrics, "model_memory_bytes") == 1000


def test_every_definition_is_exposed_with_its_labels() -> None:
    metrics = Metrics()
    metrics.of("a")
    metrics.response(200, None)
    metrics.connection_refused("malformed_request")
    families = {family.name: family for family in text_string_to_metric_families(metrics.as_text().decode())}
    for definition in DEFINITIONS.values():
        family = families[definition.name]
        assert (family.type, family.documentation) == (definition.kind, definition.meaning)
        assert {frozenset(sample.labels) - {"le"} for sample in family.samples} == {frozenset(definition.labels)}
    assert {"process_resident_memory_bytes", "process_cpu_seconds"} <= families.keys()
