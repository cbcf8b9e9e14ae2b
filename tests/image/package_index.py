"""A package index behind a password on 127.0.0.1, which sends every request on to the one that pip uses here."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PASSWORD = "a-password-that-stays-outside"


def pip_setting(name: str) -> str | None:
    """What pip is told here by environment or configuration: `index-url`, `cert`."""
    if value := os.environ.get("PIP_" + name.upper().replace("-", "_")):
        return value
    for section in ("install", "global"):
        command = [sys.executable, "-m", "pip", "config", "get", f"{section}.{name}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return None


@contextmanager
def private_index() -> Iterator[tuple[str, list[str]]]:
    """The index's URL with its password, and the list of the paths that were asked for with it."""
    behind = (pip_setting("index-url") or "https://pypi.org/simple").rstrip("/")
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "Authorization" not in self.headers:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
            else:
                asked.append(self.path)
                self.send_response(302)
                self.send_header("Location", behind + self.path.removeprefix("/simple"))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://user:{PASSWORD}@127.0.0.1:{server.server_port}/simple", asked
    finally:
        server.shutdown()
        server.server_close()
