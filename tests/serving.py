"""Starts the real server in a process of its own, as a person would, for tests that speak HTTP to it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

START_TIMEOUT_S = 60


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    url: str
    """Root of the server, without `/v1`."""
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def api(self) -> str:
        """What OpenAI's clients call the base URL."""
        return f"{self.url}/v1"

    def get(self, path: str, **options: object) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30, **options)

    def post(self, path: str, body: object, **options: object) -> httpx.Response:
        return httpx.post(self.url + path, json=body, timeout=60, **options)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without what would configure alcove from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ALCOVE_", "LLM_", "LOGGING_"))}
    return {**kept, **more}


def heed_ctrl_c() -> None:
    """For `preexec_fn`: SIGINT counts, even where a shell that runs the tests in its background has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def running(
    *arguments: str,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    module: str = "alcove",
    port: int | None = None,
    python: Path = Path(sys.executable),
    preexec: Callable[[], None] | None = None,
) -> Iterator[Server]:
    """`python -m alcove serve ARGUMENTS` in a folder, from the first answer to the last; stopped as Ctrl-C would.
    `preexec` is called in the new process before it becomes the server."""
    log = cwd / "server.log"
    port = port or free_port()
    command = [str(python), "-m", module, *arguments, "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=clean_environment(**(environment or {})),
            stdout=out,
            stderr=subprocess.STDOUT,
            preexec_fn=preexec,
        )
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait(server)
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _wait(server: Server) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended with {server.process.returncode}:\n{server.log.read_text()}")
        try:
            if httpx.get(f"{server.url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"no answer within {START_TIMEOUT_S} s:\n{server.log.read_text()}")
