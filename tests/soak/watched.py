"""A real server, and what it holds: memory, files, threads, tasks, requests under way. All promises start one."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.serving import Server, running

REPOSITORY = Path(__file__).parents[2]
ADMIN_KEY = "admin-0123456789abcdef"
_UNDER_WAY = ("alcove:num_requests_running", "alcove:num_requests_waiting")


@dataclass(frozen=True, slots=True)
class Held:
    """What the server's process holds at a moment."""

    rss: int
    """Bytes."""
    files: int
    threads: int
    tasks: int
    """Of asyncio."""

    @property
    def mb(self) -> float:
        return self.rss / 1e6


class Watched:
    """A server that answers, seen from outside."""

    def __init__(self, server: Server, tasks: Path) -> None:
        self.server = server
        self.port = int(server.url.rpartition(":")[2])
        self.process = psutil.Process(server.process.pid)
        self._tasks = tasks

    def held(self) -> Held:
        """What it holds now."""
        return Held(
            self.process.memory_info().rss, self.process.num_fds(), self.process.num_threads(), self._count_tasks()
        )

    def at_rest(self, like: Held | None = None, within_s: float = 5.0) -> Held:
        """What it holds when nothing is under way; given some seconds to be `like` it was before."""
        deadline = time.monotonic() + within_s
        while True:
            held = self.held()
            same = like is None or (held.files <= like.files and held.tasks <= like.tasks)
            if (same and not self.under_way()) or time.monotonic() > deadline:
                return held
            time.sleep(0.1)

    def under_way(self, model: str | None = None) -> int:
        """Requests that run or wait, of one model or of all."""
        total = 0.0
        for family in text_string_to_metric_families(self.server.get("/metrics").text):
            if family.name in _UNDER_WAY:
                total += sum(s.value for s in family.samples if model in (None, s.labels["model_name"]))
        return int(total)

    async def freed_after(self, model: str | None = None, limit_s: float = 10.0) -> float:
        """Seconds until nothing is under way any more; `inf` if that does not come."""
        begun = time.monotonic()
        while await asyncio.to_thread(self.under_way, model):
            if time.monotonic() - begun > limit_s:
                return float("inf")
            await asyncio.sleep(0.02)
        return time.monotonic() - begun

    def manage(self, model: str, action: str) -> httpx.Response:
        """Load, unload or reload a model."""
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        return httpx.post(f"{self.server.url}/admin/models/{model}/{action}", headers=headers, timeout=60)

    def _count_tasks(self) -> int:
        before = self._told()
        self.process.send_signal(signal.SIGUSR1)
        for _ in range(200):
            if len(told := self._told()) > len(before) and told[-1] >= 0:
                return told[-1]
            if len(told) > len(before):
                before = told
                self.process.send_signal(signal.SIGUSR1)
            time.sleep(0.01)
        raise RuntimeError("the server does not tell its tasks")

    def _told(self) -> list[int]:
        return [int(line) for line in self._tasks.read_text().split()] if self._tasks.exists() else []


@contextmanager
def watching(folder: Path, *models: str, server: str = "") -> Iterator[Watched]:
    """A server of these `[[model]]` tables and lines of `[server]`, for as long as it is needed."""
    (folder / "alcove.toml").write_text(f"[server]\ndrain_timeout_s = 2\n{server}\n" + "\n".join(models))
    tasks = folder / "tasks"
    tasks.unlink(missing_ok=True)
    environment = {
        "PYTHONPATH": str(REPOSITORY),
        "COUNTED_TASKS": str(tasks),
        "ALCOVE_ADMIN_KEYS": ADMIN_KEY,
        "ALCOVE_LOG_LEVEL": "warning",
    }
    with running("serve", cwd=folder, module="tests.soak.counted", environment=environment) as started:
        yield Watched(started, tasks)


def echo(name: str, options: str = "", **settings: Any) -> str:
    """A `[[model]]` that answers each prompt with the prompt, a byte a token."""
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    return f'[[model]]\nname = "{name}"\nsource = "builtin:echo"\nengine_options = {{ {options} }}\n{lines}'
