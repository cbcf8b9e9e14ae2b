"""What `alcove serve` takes -> a server in a process of its own, for as long as it is measured.

Called by `cli/bench.py` and `tune.py`. The server takes its settings as ever; its address and its key are ours.
"""

import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO

from alcove.bench.server import Server
from alcove.errors import ModelLoadError

_HOST = "127.0.0.1"
_KEYS = "ALCOVE_API_KEYS"
_START_S = 600.0
_STOP_S = 40.0
"""Longer than the server's own time to end its requests."""


@contextmanager
def serving(what: str, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """`alcove serve WHAT` from its first answer on; stopped as by Ctrl-C in the end, whatever happens.

    `settings` are variables of its environment. Raises `ModelLoadError` with its last words if it does not start.
    """
    port, key = _free_port(), secrets.token_hex(16)
    # ALCOVE_KEYS_ENV: a configuration that names another variable must not shut us out.
    environment = {**os.environ, **(settings or {}), "ALCOVE_KEYS_ENV": _KEYS, _KEYS: key}
    command = [sys.executable, "-m", "alcove", "serve", what, "--host", _HOST, "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _await_start(process, port, what, log)
            yield Server.at(f"http://{_HOST}:{port}", key)
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _await_start(process: subprocess.Popen[bytes], port: int, what: str, log: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ModelLoadError(_last_words(log) or f"{what}: the server ended with code {process.returncode}")
        if _ready(port):
            return
        time.sleep(0.05)
    raise ModelLoadError(f"{what}: the server does not answer within {_START_S:g} s")


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").split("\n")
    return next((line.removeprefix("alcove: ") for line in reversed(lines) if line.strip()), "")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        pass
    finally:  # also when the person does not wait: it must not outlive us
        if process.poll() is None:
            process.kill()
            process.wait()
