"""`alcove serve` and `uvicorn alcove.asgi:app` as processes: from the first line of the log to the exit code."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests import every_error

ECHO = '[[model]]\nname = "echo"\nsource = "builtin:echo"\nengine = "echo"\n'


@contextmanager
def server(cwd: Path, *command: str, **environ: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """A running server, its address, and the lines it has logged until it listened."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ALCOVE_", "LLM_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=cwd, env=clean | environ, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    lines: list[str] = []
    try:
        for line in process.stderr:
            lines.append(line.rstrip())
            if found := re.search(r"http://\S+:(\d+)", line):
                yield process, f"http://127.0.0.1:{found[1]}", lines
                break
        else:
            pytest.fail("\n".join(lines))
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def said(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Level and message of each event: what is not a terminal gets JSON."""
    return [(event["level"], event["message"]) for event in map(json.loads, lines)]


def models(url: str, headers: Mapping[str, str] | None = None) -> list[str]:
    answer = httpx.get(f"{url}/v1/models", headers=headers, timeout=10).raise_for_status()
    return [model["id"] for model in answer.json()["data"]]


def ended(process: subprocess.Popen[str], within: float) -> tuple[int, str]:
    _, log = process.communicate(timeout=within)
    return process.returncode, log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "alcove.toml").write_text(ECHO)
    return tmp_path


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_serves_and_stops_cleanly(folder: Path, stop: signal.Signals) -> None:
    with server(folder, "alcove", "serve", "--port", "0") as (process, url, lines):
        assert [level for level, _ in said(lines)] == ["info", "info"]
        assert "'echo'" in said(lines)[0][1]
        assert said(lines)[1][1] == f"Listening on {url} (Ctrl-C stops)"
        assert models(url) == ["echo"]
        process.send_signal(stop)
        code, log = ended(process, 10)
        assert code == 0
        assert sorted(said(log.splitlines())) == [
            ("info", "Stopping: requests have 30 s to end (Ctrl-C again stops at once)"),
            ("info", "request"),  # which is written after its answer has been sent
        ]


def half_a_request(url: str) -> socket.socket:
    """A client that never sends the rest of its body."""
    host, port = url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=10)
    client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    time.sleep(0.3)
    return client


def test_a_second_signal_stops_at_once(folder: Path) -> None:
    with server(folder, "alcove", "serve", "--port", "0") as (process, url, _), half_a_request(url):
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        code, log = ended(process, 2)
        assert code == 128 + signal.SIGINT
        assert "Traceback" not in log


def test_a_stop_waits_no_longer_than_it_was_told_to(folder: Path) -> None:
    with (
        server(folder, "alcove", "serve", "--port", "0", ALCOVE_DRAIN_TIMEOUT_S="1") as (process, url, _),
        half_a_request(url) as client,
    ):
        process.send_signal(signal.SIGTERM)
        code, log = ended(process, 5)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
        every_error.see_raw(answer)
        assert b'"code":"shutting_down"' in answer
        assert code == 0
        assert "Traceback" not in log


def test_a_failed_start_up_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "alcove.toml").write_text(ECHO.replace("builtin:echo", "./absent"))
    ran = subprocess.run(
        [sys.executable, "-m", "alcove", "serve", "--port", "0"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stderr) == (3, f"alcove: {tmp_path}/absent: no such folder\n")


def test_debug_log_and_keys(folder: Path) -> None:
    keys = {"LOGGING_LEVEL": "DEBUG", "ALCOVE_API_KEYS": "sk-1"}
    with server(folder, "alcove", "serve", "--port", "0", **keys) as (process, url, _):
        assert models(url, {"Authorization": "Bearer sk-1"}) == ["echo"]
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            models(url)
        process.send_signal(signal.SIGTERM)
        code, log = ended(process, 10)
        assert code == 0
        requests = [event for event in map(json.loads, log.splitlines()) if event["logger"] == "alcove.requests"]
        assert [(event["endpoint"], event["status"]) for event in requests if event["status"] == 200] == [
            ("/v1/models", 200)
        ]
        assert "sk-1" not in log


def test_reload_serves_from_a_child_and_stops_cleanly(folder: Path) -> None:
    with server(folder, "alcove", "serve", "alcove.toml", "--port", "0", "--reload") as (process, url, _):
        assert models(url) == ["echo"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.mark.parametrize(("extra", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_text_at_a_terminal(folder: Path, extra: dict[str, str], coloured: bool) -> None:
    ours, theirs = os.openpty()
    environ = {**os.environ, "LOGGING_LEVEL": "LOUD", **extra}
    process = subprocess.Popen(
        [sys.executable, "-m", "alcove", "serve", "--port", "0"], cwd=folder, env=environ, stderr=theirs
    )
    os.close(theirs)  # so that reading ends when the process does
    shown = ""
    try:
        while "Listening" not in shown:
            shown += os.read(ours, 4096).decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    first, *_, last = shown.splitlines()
    level = "\033[33mWARNING\033[0m" if coloured else "WARNING"
    assert re.match(rf"\d\d:\d\d:\d\d {re.escape(level)} environment: LOGGING_LEVEL", first)
    assert re.match(r"\d\d:\d\d:\d\d INFO  Listening on http", last)


def test_any_asgi_server(folder: Path) -> None:
    with server(folder, "uvicorn", "alcove.asgi:app", "--port", "0") as (process, url, lines):
        assert any("'echo'" in line and json.loads(line)["level"] == "info" for line in lines if line.startswith("{"))
        assert models(url) == ["echo"]
        process.send_signal(signal.SIGTERM)
        process.wait(10)
