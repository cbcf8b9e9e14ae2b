"""Floods, malformed requests and old clients against the real server: refused in OpenAI's words, at no cost."""

import json
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests import every_error
from tests.raw import exchange
from tests.serving import Server, running

ECHO = '[[model]]\nname = "echo"\nsource = "builtin:echo"\nengine = "echo"\n'
MEGABYTE = 1_000_000
FLOOD = 100 * MEGABYTE
BODY_LIMIT = 2 * 1024 * 1024
HEAD = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
FLOODS = {
    "one header": (HEAD + b"x: ", b"y" * MEGABYTE),
    "one name": (HEAD, b"y" * MEGABYTE),
    "headers of 50 kB": (HEAD, (b"x: %s\r\n" % (b"y" * 50_000)) * 20),
    "headers of one letter": (HEAD, b"x: y\r\n" * 160_000),
    "a path": (b"POST /", b"y" * MEGABYTE),
    "a trailer": (CHUNKED + b"0\r\nx: ", b"y" * MEGABYTE),
    "trailers": (CHUNKED + b"0\r\n", b"x: y\r\n" * 160_000),
    "a chunk's extension": (CHUNKED + b"1;x=", b"y" * MEGABYTE),
    "empty lines": (b"", b"\r\n" * (MEGABYTE // 2)),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "alcove.toml").write_text(ECHO)
    with running("serve", cwd=folder) as server:
        yield server


def flood(port: int, begin: bytes, piece: bytes) -> tuple[int, bytes]:
    """Send 100 MB, as far as the server lets; returns the bytes that were sent and what came back."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(begin)
            while sent < FLOOD:
                connection.sendall(piece)
                sent += len(piece)
        except OSError:
            pass  # it has been cut
        connection.settimeout(1)
        try:
            answer = connection.recv(65536)
        except OSError:
            return sent, b""
    every_error.see_raw(answer)
    return sent, answer


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_is_cut_and_leaves_no_memory(server: Server, kind: str) -> None:
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    sent, answer = flood(port_of(server), *FLOODS[kind])
    assert sent < FLOOD / 4
    # What was still on its way when the connection was closed may take the answer with it: that is TCP's.
    assert not answer or answer.startswith(b"HTTP/1.1 431 ")
    assert process.memory_info().rss - before < 5 * MEGABYTE
    assert server.get("/health").status_code == 200


def test_a_body_in_chunks_without_end_is_refused_at_its_limit(server: Server) -> None:
    """413 as soon as it has come to more than `max_body_bytes`, while the client goes on sending."""
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    piece = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    begun, sent = time.monotonic(), 0
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=30) as connection:
        connection.sendall(CHUNKED)
        while not select.select([connection], [], [], 0)[0]:
            assert sent < FLOOD, "it takes all"
            connection.sendall(piece)
            sent += len(piece)
        answer = connection.recv(65_536)
        while not answer.endswith(b"}}") and (more := connection.recv(65_536)):  # the head may come before the body
            answer += more
        grown = process.memory_info().rss - before
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "content_too_large"
    assert BODY_LIMIT < sent < BODY_LIMIT + 16 * MEGABYTE, "what is more than the limit was on its way"
    assert time.monotonic() - begun < 5
    assert grown < 2 * BODY_LIMIT


def test_pipelined_requests_that_nobody_reads_leave_no_memory(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    # How much is taken is the network's affair: what follows the limit is dropped until those before it are answered.
    flood(port_of(server), b"", b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n" * 30_000)
    assert process.memory_info().rss - before < 5 * MEGABYTE
    assert server.get("/health").status_code == 200


def test_two_lengths_are_refused(server: Server) -> None:
    sent = CHUNKED.replace(b"\r\n\r\n", b"\r\ncontent-length: 5\r\n\r\n") + b"0\r\n\r\n"
    answer, closed = exchange(port_of(server), sent)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "malformed_request"
    assert closed


def test_a_trailer_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "alcove.toml").write_text(ECHO)
    with running("serve", cwd=tmp_path, environment={"ALCOVE_API_KEYS": "sk-1"}) as server:
        body = b'{"prompt":"hi"}'
        piece = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
        answer, _ = exchange(port_of(server), CHUNKED + piece + b"authorization: Bearer sk-1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 401 ")


def test_a_stream_for_http_1_0_ends_with_the_connection(server: Server) -> None:
    body = b'{"prompt":"hi","stream":true}'
    sent = b"POST /v1/completions HTTP/1.0\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    answer, closed = exchange(port_of(server), sent, quiet_s=5)
    assert b"chunked" not in answer
    assert answer.endswith(b"data: [DONE]\n\n")
    assert closed


def test_an_offer_of_http_2_is_answered_in_http_1(server: Server) -> None:
    """Java's own client makes it with each first request."""
    offer = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAEAAEAAAAIAAAAAAAMAAAAA"}
    answer = httpx.post(f"{server.api}/completions", json={"prompt": "hi"}, headers=offer)
    assert answer.json()["choices"][0]["text"] == "hi"
