"""The two faces of the counters."""

from prometheus_client.parser import text_string_to_metric_families

from alcove.metrics import Metrics


def test_json_and_prometheus_tell_the_same() -> None:
    metrics = Metrics()
    metrics.of("a").request()
    metrics.of("a").tokens(3, 4)
    metrics.of("b").request()
    metrics.of("b").tokens(1, 0)
    body = metrics.as_json()
    assert (body["total_prompt_tokens"], body["total_completion_tokens"], body["total_total_tokens"]) == (4, 4, 8)
    assert body["model_metrics"]["a"] == {
        "total_prompt_tokens": 3,
        "total_completion_tokens": 4,
        "total_total_tokens": 7,
        "calls": 1,
    }
    samples = {
        (sample.name, sample.labels.get("model_name")): sample.value
        for family in text_string_to_metric_families(metrics.as_text().decode())
        for sample in family.samples
    }
    assert samples["alcove:generation_tokens_total", "a"] == 4
    assert samples["alcove:requests_total", "b"] == 1
