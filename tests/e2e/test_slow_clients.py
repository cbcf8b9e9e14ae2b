"""Clients that send slowly, read slowly or only hold connections, against the real server with short deadlines."""

import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests import every_error
from tests.raw import statuses
from tests.serving import Server, running

MEGABYTE = 1_000_000
HEADER_S, BODY_S, SEND_S = 1, 2, 2
ECHO = '[[model]]\nname = "echo"\nsource = "builtin:echo"\nengine = "echo"\nmax_queue = 256\n'
CONFIGURATION = f"""
[server]
header_timeout_s = {HEADER_S}
body_timeout_s = {BODY_S}
send_timeout_s = {SEND_S}
keep_alive_timeout_s = 1
{ECHO}default = true
[[model]]
name = "steady"
source = "builtin:echo"
engine = "echo"
engine_options = {{ delay_s = 0.001 }}
"""
HEAD = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n"
ASK = """
import sys, time, httpx
for _ in range(20):
    begun = time.monotonic()
    httpx.get(sys.argv[1]).raise_for_status()
    print(time.monotonic() - begun)
"""
HALF_A_BODY = HEAD + b'content-length: 100\r\n\r\n{"prompt":'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "alcove.toml").write_text(CONFIGURATION)
    with running("serve", cwd=folder) as server:
        yield server


def connect(server: Server) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def rest(connection: socket.socket) -> bytes:
    """All that still comes until the server closes the connection."""
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    every_error.see_raw(answer)
    return answer


LATE = [
    (b"", None, HEADER_S),
    (b"\r\n", 408, HEADER_S),
    (b"GET /health HTTP/1.1\r\nhost: loc", 408, HEADER_S),
    (HALF_A_BODY, 408, BODY_S),
    (HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{", 408, BODY_S),
    (HEAD + b"content-length: 100\r\nexpect: 100-continue\r\n\r\n", 408, BODY_S),
]


def test_what_does_not_come_in_time(server: Server) -> None:
    """One of each at once; a connection on which nothing was said is closed without a word."""
    begun = time.monotonic()
    connections = [connect(server) for _ in LATE]
    for connection, (sent, _, _) in zip(connections, LATE, strict=True):
        connection.sendall(sent)
    for connection, (_, status, after) in zip(connections, LATE, strict=True):
        with connection:
            answer = rest(connection).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert after - 0.5 < time.monotonic() - begun < after + 8
        assert statuses(answer) == ([status] if status else [])
        if status:
            assert b"x-should-retry: false" in answer
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_timeout"


def test_a_kept_connection_is_closed_when_nothing_comes(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        begun = time.monotonic()
        assert statuses(rest(connection)) == [200]
    assert 0.5 < time.monotonic() - begun < 5


def test_a_byte_now_and_then_is_too_slow(server: Server) -> None:
    """In the head and in the body alike; the server closes, so that sending fails."""
    for begin, piece, deadline in ((b"", b"GET /", HEADER_S), (HALF_A_BODY, b" ", BODY_S)):
        with connect(server) as connection:
            begun = time.monotonic()
            connection.sendall(begin)
            with suppress(ConnectionResetError, BrokenPipeError):
                while time.monotonic() - begun < 20:
                    connection.sendall(piece[:1])
                    time.sleep(0.2)
        assert time.monotonic() - begun < deadline + 8


def test_a_slow_line_may_send_a_long_body(server: Server) -> None:
    body = json.dumps({"prompt": "hi", "user": "x" * 120_000}).encode()
    with connect(server) as connection:
        connection.sendall(HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body))
        begun = time.monotonic()
        for at in range(0, len(body), 8_000):
            connection.sendall(body[at : at + 8_000])
            time.sleep(0.2)
        assert time.monotonic() - begun > BODY_S + 1
        assert statuses(rest(connection)) == [200]


def test_a_refused_body_is_not_waited_for_long(server: Server) -> None:
    """It is told at once that a gigabyte is too much, and cut off if it goes on as if it were not."""
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    with connect(server) as connection:
        begun = time.monotonic()
        connection.sendall(HEAD + b"content-length: 1000000000\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 413"
        assert time.monotonic() - begun < 1
        connection.setblocking(False)
        sent = 0
        while time.monotonic() - begun < 20:
            try:
                sent += connection.send(b"x" * 65536)
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                break
            time.sleep(0.01)
        else:
            pytest.fail("it was never cut off")
    assert time.monotonic() - begun < BODY_S + 8
    assert process.memory_info().rss - before < 6 * MEGABYTE


def test_half_open_connections_hold_up_nobody(server: Server) -> None:
    """500 of them, of every kind; health is asked by a process of its own meanwhile."""
    kinds = [b"", b"GET / HTTP/1.1\r\n", HALF_A_BODY]
    held = [connect(server) for _ in range(500)]
    try:
        for number, connection in enumerate(held):
            connection.sendall(kinds[number % 3])
        asked = subprocess.run(
            [sys.executable, "-c", ASK, server.url + "/health"], capture_output=True, text=True, timeout=60
        )
        assert asked.returncode == 0, asked.stderr
        assert max(map(float, asked.stdout.split())) < 1
        deadline = time.monotonic() + BODY_S + 8
        for connection in held:
            connection.settimeout(max(deadline - time.monotonic(), 0.01))
            assert statuses(rest(connection)) in ([], [408])
    finally:
        for connection in held:
            connection.close()


def test_readers_that_take_nothing_are_cut_and_leave_no_memory(server: Server) -> None:
    """Two who want 10 MB each, more than any socket holds, and never read; others are answered as ever."""
    fields = {"model": "steady", "prompt": "x" * 4000, "max_tokens": 4000, "n": 10}
    body = json.dumps({**fields, "stream": True}).encode()
    process = psutil.Process(server.process.pid)
    before = most = process.memory_info().rss
    readers = []
    for _ in range(2):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        readers.append(connection)
    stalled = set()
    deadline = time.monotonic() + 60
    try:
        while len(stalled) < 2 or stalled & clients(process):
            assert time.monotonic() < deadline, "they were not cut"
            stalled |= {reader.getsockname()[1] for reader in readers} & clients(process)
            most = max(most, process.memory_info().rss)
            assert server.post("/v1/completions", {"prompt": "hi"}).json()["choices"][0]["text"] == "hi"
            time.sleep(0.1)
    finally:
        for connection in readers:
            connection.close()
    assert most - before < 80 * MEGABYTE
    metrics = server.get("/metrics").text
    assert 'alcove:request_success_total{finished_reason="abort",model_name="steady"} 2.0' in metrics


def clients(process: psutil.Process) -> set[int]:
    """The ports of those to whom the server is connected."""
    return {peer.raddr.port for peer in process.net_connections("tcp") if peer.raddr}


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))


def test_connections_are_limited_below_the_limit_of_files(tmp_path: Path) -> None:
    """300 on a process that may open 128 files: 64 are served, the others told so at once, and all is well later."""
    (tmp_path / "alcove.toml").write_text(ECHO)
    with running("serve", cwd=tmp_path, preexec=few_files) as server:
        held = [connect(server) for _ in range(300)]
        begun = time.monotonic()
        refused = 0
        for connection in held[64:]:
            refused += statuses(rest(connection)) == [503]
        assert refused == 300 - 64
        assert time.monotonic() - begun < 10
        full = server.get("/health")
        assert (full.status_code, full.json()["error"]["code"]) == (503, "server_is_overloaded")
        assert full.headers["retry-after"] == "1"
        for connection in held:
            connection.close()
        time.sleep(0.5)
        assert server.get("/health").status_code == 200
        assert "Traceback" not in server.log.read_text()


def test_more_connections_than_files_are_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "alcove.toml").write_text("[server]\nmax_connections = 100\n" + ECHO)
    ran = subprocess.run(
        [sys.executable, "-m", "alcove", "serve", "--port", "0"],
        cwd=tmp_path, capture_output=True, text=True, preexec_fn=few_files,
    )  # fmt: skip
    assert ran.returncode == 2
    assert ran.stderr == (
        "alcove: server.max_connections: 100 need 164 open files, and this process may open 128: ask for fewer, or "
        "raise its limit (ulimit -n, LimitNOFILE)\n"
    )
