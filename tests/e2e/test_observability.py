"""What a real server tells of its requests: lines of the log, metrics, ids; and that none of them tells a secret."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import every_error
from tests.serving import Server, running

ROOT = Path(__file__).parents[2]
CANARY = "CANARY9f3b"
KEY = f"sk-{CANARY}-key"
CONFIGURATION = """
[server]
log_level = "debug"
[[model]]
name = "echo"
source = "builtin:echo"
default = true
[[model]]
name = "slow"
source = "builtin:echo"
engine_options = { delay_s = 0.05 }
"""
NASTY = "\r\nINFO forged\x1b[31m\x00\u2028\u0085"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("seen")
    (folder / "alcove.toml").write_text(CONFIGURATION)
    with running(
        "serve",
        cwd=folder,
        module="tests.e2e.raising",
        environment={"PYTHONPATH": str(ROOT), "ALCOVE_API_KEYS": KEY},
    ) as server:
        yield server


def post(server: Server, body: object, path: str = "/v1/completions", **headers: str) -> httpx.Response:
    sent = {"authorization": f"Bearer {KEY}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx.post(server.url + path, json=body, headers=sent, timeout=30)


def events(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def line_of(server: Server, chosen: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The event of a request, which is written a moment after its answer."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [event for event in events(server) if event["logger"] == "alcove.requests" and chosen(event)]
        if found:
            assert len(found) == 1
            return found[0]
        time.sleep(0.02)
    raise AssertionError(server.log.read_text())


def told(server: Server, answer: httpx.Response) -> dict[str, Any]:
    return line_of(server, lambda event: event["request_id"] == answer.headers["x-request-id"])


@pytest.mark.parametrize("stream", [False, True])
def test_a_line_for_each_answer(server: Server, stream: bool) -> None:
    answer = post(server, {"prompt": "hello", "max_tokens": 3, "stream": stream})
    line = told(server, answer)
    times = [line.pop(name) for name in ("queue_s", "first_token_s", "duration_s")]
    assert 0 <= times[0] <= times[1] <= times[2] < 10
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert line == {
        "level": "info",
        "logger": "alcove.requests",
        "message": "request",
        "request_id": answer.headers["x-request-id"],
        "method": "POST",
        "endpoint": "/v1/completions",
        "status": 200,
        "outcome": "finished",
        "finish_reason": "length",
        "caller": "key-1",
        "model": "echo",
        "streamed": stream,
        "prompt_tokens": 5,
        "completion_tokens": 3,
    }


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "model"),
    [
        ("/v1/completions", {"prompt": "x", "model": "other"}, 404, "model_not_found", None),
        ("/v1/completions", {"prompt": "x", "n": 0}, 400, "invalid_value", None),
        ("/v1/completions", {"prompt": "x" * 9000}, 400, "context_length_exceeded", "echo"),
        ("/v1/nowhere", {}, 404, "unknown_url", None),
    ],
)
def test_what_was_refused(server: Server, path: str, body: object, status: int, code: str, model: str | None) -> None:
    line = told(server, post(server, body, path))
    assert (line["status"], line["outcome"], line["error_code"]) == (status, "refused", code)
    assert (line.get("model"), line.get("endpoint")) == (model, None if "nowhere" in path else path)


def test_what_has_no_key_is_refused_with_an_id_and_a_line(server: Server) -> None:
    answer = post(server, {"prompt": "x"}, authorization="Bearer wrong", x_request_id="mine-1")
    assert answer.headers["x-request-id"] == "mine-1"
    assert told(server, answer)["error_code"] == "invalid_api_key"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ("!", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, "malformed_request"),
        (f"GET /{'x' * 40_000} HTTP/1.1\r\n", 431, "headers_too_large"),
    ],
)
def test_what_is_no_request_has_a_line_and_is_counted(server: Server, sent: str, status: int, code: str) -> None:
    before = exposed(server)
    answer = raw(server, sent + CANARY)
    assert f"HTTP/1.1 {status} " in answer
    name = re.search(r"x-request-id: (\S+)", answer)
    assert name is not None
    line = line_of(server, lambda event: event["request_id"] == name[1])
    del line["time"]
    assert line == {
        "level": "info",
        "logger": "alcove.requests",
        "message": "request",
        "request_id": name[1],
        "status": status,
        "outcome": "refused",
        "error_code": code,
    }
    after = exposed(server)
    for key in (
        ("alcove:connections_refused_total", frozenset({"code": code}.items())),
        ("alcove:http_responses_total", frozenset({"status": "4xx", "code": code}.items())),
    ):
        assert after[key] - before.get(key, 0) == 1


def raw(server: Server, text: str) -> str:
    """What comes back for this, until the server closes the connection."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(text.encode())
        answer = b""
        with suppress(ConnectionResetError):
            while data := connection.recv(65536):
                answer += data
    every_error.see_raw(answer)
    return answer.decode()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves(server: Server, stream: bool) -> None:
    address = urlsplit(server.url)
    body = json.dumps({"model": "slow", "prompt": "x" * 500, "max_tokens": 500, "stream": stream}).encode()
    name = f"left-{stream}"
    head = (
        f"POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {KEY}\r\nx-request-id: {name}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(head.encode() + body)
        time.sleep(0.5)
    line = line_of(server, lambda event: event["request_id"] == name)
    assert (line["outcome"], line["model"], line.get("status")) == ("client_left", "slow", 200 if stream else None)
    assert line["duration_s"] < 10


@pytest.mark.parametrize("where", ["preparing", "batch"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_has_an_id_in_answer_and_log(server: Server, where: str, stream: bool) -> None:
    answer = post(server, {"prompt": f"break the {where} {CANARY}", "stream": stream})
    assert answer.status_code == 500
    name = answer.headers["x-request-id"]
    assert name in answer.json()["error"]["message"]
    line = told(server, answer)
    assert (line["outcome"], line["level"], line["error_code"]) == ("failed", "warning", "internal_error")
    traces = [event for event in events(server) if event.get("request_id") == name and "exception" in event]
    assert len(traces) == 1
    kind = "ValueError" if where == "preparing" else "EngineFailure"
    assert kind in traces[0]["exception"]


def test_metrics(server: Server) -> None:
    before = exposed(server)
    post(server, {"prompt": "hello", "max_tokens": 3})
    post(server, {"prompt": "hello", "n": 0})
    after = exposed(server)

    def grown(name: str, **labels: str) -> float:
        key = name, frozenset(labels.items())
        return after[key] - before.get(key, 0)

    assert grown("alcove:generation_tokens_total", model_name="echo") == 3
    assert grown("alcove:prompt_tokens_total", model_name="echo") == 5
    assert grown("alcove:request_success_total", model_name="echo", finished_reason="length") == 1
    assert grown("alcove:http_responses_total", status="4xx", code="invalid_value") == 1
    for name in ("time_to_first_token", "e2e_request_latency", "request_queue_time", "request_decode_time"):
        assert grown(f"alcove:{name}_seconds_count", model_name="echo") == 1
    assert grown("alcove:batch_size_sum", model_name="echo") == 1
    assert after["alcove:model_state", frozenset({"model_name": "echo", "state": "ready"}.items())] == 1
    assert after["alcove:event_loop_lag_seconds_count", frozenset()] > 0
    assert after["process_resident_memory_bytes", frozenset()] > 1e7


def exposed(server: Server) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = server.get("/metrics", headers={"authorization": f"Bearer {KEY}"}).text
    assert CANARY not in text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_dashboard_asks_for_what_there_is(server: Server) -> None:
    post(server, {"prompt": "hello", "max_tokens": 3})
    names = {name for name, _ in exposed(server)}
    board = json.loads((ROOT / "deploy" / "grafana-alcove.json").read_text())
    assert board.keys() >= {"uid", "title", "schemaVersion", "panels", "templating", "time", "refresh"}
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    taken: set[tuple[int, int]] = set()
    asked: set[str] = set()
    for panel in panels:
        assert panel.keys() >= {"id", "title", "type", "gridPos", "targets", "fieldConfig", "datasource"}
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
        for target in panel["targets"]:
            found = metric_names(target["expr"])
            assert found, target["expr"]
            asked |= found
    assert asked <= names, f"nothing exposes {asked - names}"
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert variables == {"datasource", "model"}


def metric_names(expression: str) -> set[str]:
    """The names of metrics in a PromQL expression: what is neither a label, nor a function, nor a keyword."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)|\$\w+", " ", expression)
    words = re.finditer(r"[A-Za-z_:][A-Za-z0-9_:]*(\s*\()?", bare)
    return {word[0] for word in words if not word[1]} - {"by", "without", "and", "or", "unless"}


def test_no_secret_is_logged_and_a_line_is_an_event(server: Server) -> None:
    """At `debug`, with canaries in all that a client can send, and on the ways of failures."""
    secret = CANARY + NASTY
    for body in (
        {"prompt": secret, "user": secret, "stop": [secret], "max_tokens": 40},
        {"prompt": secret, "model": secret},
        {"prompt": secret, secret: secret},
        {"prompt": secret, "max_tokens": secret},
        {"prompt": f"break the preparing {secret}", "user": secret},
        {"prompt": f"break the batch {secret}", "suffix": None, "stream": True},
    ):
        post(server, body)
    post(server, {"messages": [{"role": "user", "content": secret, "name": secret}]}, "/v1/chat/completions")
    post(server, {"prompt": secret, "target_lang": secret}, authorization=f"Bearer {KEY}x")
    post(server, {"prompt": secret}, f"/v1/engines/{CANARY}%0d%0aINFO%20forged/completions")
    httpx.get(f"{server.url}/{CANARY}%0d%0a%1b?key={KEY}", headers={"x-request-id": f"{CANARY} {KEY}"})
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(f"GET /{CANARY} HTTP/9.9\r\n{CANARY}\r\n\r\n".encode())
        every_error.see_raw(connection.recv(1000))
    last = post(server, {"prompt": "x"}, x_request_id="the-last")
    told(server, last)
    log = server.log.read_text()
    assert CANARY not in log
    assert "forged" not in log
    assert all(line.isprintable() for line in log.split("\n"))
    assert len(events(server)) == log.count("\n")
    exposed(server)
