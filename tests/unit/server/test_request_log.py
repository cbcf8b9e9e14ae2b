"""How a request's end is called, and its line for people."""

import pytest

from alcove.metrics.record import Record
from alcove.server.request_log import Line, outcome


def record(**known: object) -> Record:
    made = Record(id="r1", method="POST", begun=10.0)
    for name, value in {"ended": 10.5, "endpoint": "/v1/completions", "status": 200, **known}.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, "finished"),
        ({"status": 400, "failed": True}, "refused"),
        ({"status": 429, "failed": True}, "refused"),
        ({"status": 503, "failed": True}, "refused"),
        ({"status": 500, "failed": True}, "failed"),
        ({"status": 504, "failed": True}, "failed"),
        ({"failed": True}, "failed"),
        ({"left": True}, "client_left"),
        ({"status": None}, "client_left"),
        ({"status": None, "failed": True}, "refused"),
        ({"status": 499, "failed": True}, "client_left"),
    ],
)
def test_outcomes(known: dict[str, object], expected: str) -> None:
    assert outcome(record(**known)) == expected
    assert Line(record(**known)).fields()["outcome"] == expected


def test_the_line_for_people() -> None:
    made = record(model="t5", prompt_tokens=12, completion_tokens=34, first_at=10.25, finish="stop")
    assert str(Line(made)) == (
        "POST /v1/completions 200 finished (stop) t5: 12 + 34 tokens, first after 0.250 s, 0.500 s [r1]"
    )
    refused = record(endpoint=None, status=404, failed=True, code="unknown_url")
    assert str(Line(refused)) == "POST (no such path) 404 refused (unknown_url) 0.500 s [r1]"
    no_request = record(method="", endpoint=None, status=400, failed=True, code="malformed_request", ended=None)
    assert str(Line(no_request)) == "(no request) 400 refused (malformed_request) [r1]"
    assert not Line(no_request).fields().keys() & {"method", "endpoint", "duration_s"}
