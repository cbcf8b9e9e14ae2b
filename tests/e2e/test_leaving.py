"""Clients that leave, generations that take long, servers that are stopped: nothing holds anything up."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests import every_error
from tests.serving import Server, running

CONFIGURATION = """
[server]
drain_timeout_s = 1
[[model]]
name = "slow"
source = "builtin:echo"
engine = "echo"
max_queue = 0
engine_options = { delay_s = 0.05 }
"""
LONG = {"model": "slow", "prompt": "x" * 2000, "max_tokens": 2000}
"""100 seconds of work."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "alcove.toml").write_text(CONFIGURATION)
    with running("serve", cwd=tmp_path) as server:
        yield server


def begin(server: Server, *, stream: bool) -> socket.socket:
    """Send the long request and return the connection without waiting for an answer."""
    address = urlsplit(server.url)
    body = json.dumps({**LONG, "stream": stream}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
    connection = socket.create_connection((address.hostname, address.port), timeout=30)
    connection.sendall(head.encode() + body)
    if stream:
        assert connection.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
    else:
        time.sleep(0.5)
    return connection


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("reset", [False, True])
def test_a_client_that_leaves_frees_its_place(server: Server, stream: bool, reset: bool) -> None:
    connection = begin(server, stream=stream)
    assert server.post("/v1/completions", {"prompt": "hi"}).status_code == 503, "the place is taken"
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
    left = time.monotonic()
    while (response := server.post("/v1/completions", {"prompt": "hi"})).status_code == 503:
        assert time.monotonic() - left < 5, "the place was not freed"
        time.sleep(0.02)
    assert response.json()["choices"][0]["text"] == "hi"


def test_health_answers_while_a_long_generation_runs(server: Server) -> None:
    connection = begin(server, stream=False)
    for _ in range(20):
        assert server.get("/health/live").status_code == 200
        assert server.get("/health").status_code == 200
    connection.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_waits_only_so_long_and_ends_cleanly(server: Server, number: signal.Signals) -> None:
    with begin(server, stream=True) as connection:
        server.process.send_signal(number)
        assert server.process.wait(10) == 0
        rest = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"[DONE]" not in rest
    assert b'"code":"shutting_down"' in rest, "a stream that is cut must not look like a success"
    assert "Traceback" not in server.log.read_text()
    with pytest.raises(httpx.TransportError):
        server.get("/health")


def test_a_body_that_is_still_to_come_is_told_of_the_stop(server: Server) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert server.process.wait(10) == 0
    every_error.see_raw(answer)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"shutting_down"' in answer
    assert "Traceback" not in server.log.read_text()
