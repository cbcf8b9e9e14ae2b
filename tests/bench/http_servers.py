"""HTTP servers -> a table of what each costs, in processor time and in requests and chunks a second.

`python -m tests.bench.http_servers [raw|alcove ...]`: each server runs two applications, one that does nothing and
alcove's own with the echo engine, and they take turns. granian is measured if it can be imported.
"""

import asyncio
import sys
import time
from importlib.util import find_spec
from statistics import median
from typing import Any

import httptools
import msgspec
import uvicorn
import uvloop

from alcove.config.settings import ModelSettings, Settings
from alcove.server.app import create_app
from alcove.server.http_protocol import BoundedHttp
from tests.serving import free_port

UVICORN: dict[str, Any] = {"uvicorn, h11": "h11", "uvicorn, httptools": "httptools", "alcove's": BoundedHttp}
SERVERS = [*UVICORN, *(["granian"] if find_spec("granian") else [])]
CLIENTS, ROUNDS, SECONDS, CHUNKS = 32, 5, 1.0, 64
STEP_S = 0.004
"""Time of the echo engine's step in streams: with less, several tokens share a chunk."""
BODIES: dict[str, dict[str, Any]] = {
    "whole": {"prompt": "Translate this, please.", "max_tokens": 8},
    "stream": {"prompt": "x" * CHUNKS, "max_tokens": CHUNKS, "stream": True},
}


class Client(asyncio.Protocol):
    """One connection, which asks again as soon as it has its answer; counts answers and events."""

    def __init__(self, request: bytes) -> None:
        self.request, self.answers, self.chunks = request, 0, 0
        self.parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.chunks += data.count(b"data: ")
        self.parser.feed_data(data)

    def on_headers_complete(self) -> None:
        assert self.parser.get_status_code() == 200

    def on_message_complete(self) -> None:
        self.answers += 1
        self.transport.write(self.request)


async def load(port: int, pid: int, body: Any) -> tuple[float, float]:
    """Load the server for a while: answers or chunks a second, and microseconds of its processor time for each."""
    content = msgspec.json.encode(body)
    head = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    head += b"content-length: %d\r\n\r\n"
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Client(head % len(content) + content), "127.0.0.1", port)
        for _ in range(CLIENTS)
    ]

    def count() -> int:
        return sum(client.chunks if "stream" in body else client.answers for _, client in made)

    await asyncio.sleep(SECONDS / 4)
    counted, spent, began = count(), processor_s(pid), loop.time()
    await asyncio.sleep(SECONDS)
    counted, spent, took = count() - counted, processor_s(pid) - spent, loop.time() - began
    for transport, _ in made:
        transport.abort()
    return counted / took, 1e6 * spent / counted


def processor_s(pid: int) -> float:
    """Seconds that all threads of a process have used."""
    return time.clock_gettime((~pid << 3) | 2)  # what C's clock_getcpuclockid() gives


async def raw(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that does as little as one can."""
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    if b"stream" in (await receive())["body"]:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for left in reversed(range(CHUNKS)):
            await send({"type": "http.response.body", "body": b"data: %s\n\n" % (b"x" * 200), "more_body": left > 0})
            await asyncio.sleep(0)
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"300")]})
    await send({"type": "http.response.body", "body": b"x" * 300})


async def serve(server: str, app: str, port: int) -> None:
    """Serve until killed."""
    delay = STEP_S if app == "alcove-stream" else 0.0
    echo = ModelSettings(name="echo", source="builtin:echo", engine="echo", engine_options={"delay_s": delay})
    application: Any = raw if app.startswith("raw") else create_app(Settings(models=(echo,)))
    if server in UVICORN:
        options: dict[str, Any] = {"ws": "none", "log_config": None, "proxy_headers": False}
        await uvicorn.Server(uvicorn.Config(application, port=port, http=UVICORN[server], **options)).serve()
    else:
        from granian.server.embed import Server

        await Server(application, port=port, interface="asgi", websockets=False, log_enabled=False).serve()


async def compare(app: str, body: Any) -> None:
    """Print a table of what the servers do with one application and one kind of request."""
    ports = {server: free_port() for server in SERVERS}
    command = [sys.executable, "-m", "tests.bench.http_servers", "serve"]
    running = {
        server: await asyncio.create_subprocess_exec(*command, server, app, str(port)) for server, port in ports.items()
    }
    figures: dict[str, list[tuple[float, float]]] = {server: [] for server in SERVERS}
    try:
        await asyncio.sleep(5 if app.startswith("alcove") else 2)
        for _ in range(ROUNDS):
            for server, process in running.items():
                figures[server].append(await load(ports[server], process.pid, body))
    finally:
        for process in running.values():
            process.kill()
            await process.wait()
    print(f"\n| {app} | per second | processor time each, µs (lowest to highest) |\n|---|---|---|")
    for server, made in figures.items():
        rates, costs = zip(*made, strict=True)
        print(f"| {server} | {median(rates):,.0f} | {median(costs):.1f} ({min(costs):.1f} to {max(costs):.1f}) |")


async def main() -> None:
    for app in ("raw", "alcove"):
        if app in (sys.argv[1:] or ("raw", "alcove")):
            for name, body in BODIES.items():
                await compare(f"{app}-{name}", body)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[2], sys.argv[3], int(sys.argv[4])) if sys.argv[1:2] == ["serve"] else main())
