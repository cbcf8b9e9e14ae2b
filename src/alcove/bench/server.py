"""A URL and a key -> where a server is, and the bytes of the requests it is sent.

Made by the command line and by whoever measures; read by `http.py`, which opens the connections.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from alcove.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server, and how it is reached."""

    host: str
    port: int
    path: str
    """What stands before `/completions`: usually `/v1`."""
    tls: ssl.SSLContext | None = None
    key: str = field(default="", repr=False)
    """Sent as a bearer token; empty sends none."""

    @classmethod
    def at(cls, url: str, key: str = "") -> Self:
        """The server at a URL, with or without `/v1` at its end. Raises `ConfigurationError`."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigurationError(f"{url}: {error}") from None
        if parts.scheme not in {"http", "https"} or not host:
            raise ConfigurationError(f"{url}: should look like http://127.0.0.1:8000")
        secure = parts.scheme == "https"
        path = parts.path.rstrip("/")
        return cls(
            host=host,
            port=port or (443 if secure else 80),
            path=path if path.endswith("/v1") else f"{path}/v1",
            tls=ssl.create_default_context() if secure else None,
            key=key,
        )

    def get(self, path: str) -> bytes:
        """The bytes that ask for `path`, which stands behind `/v1`."""
        return self._head("GET", path) + b"\r\n"

    def post(self, body: Mapping[str, Any]) -> bytes:
        """The bytes that send a body: to `/chat/completions` if it has `messages`, else to `/completions`."""
        content = msgspec.json.encode(body)
        head = self._head("POST", "/chat/completions" if "messages" in body else "/completions")
        return head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(content) + content

    def _head(self, method: str, path: str) -> bytes:
        host = f"[{self.host}]" if ":" in self.host else self.host
        lines = [f"{method} {self.path}{path} HTTP/1.1", f"host: {host}:{self.port}", "accept: */*"]
        if self.key:
            lines.append(f"authorization: Bearer {self.key}")
        return "".join(f"{line}\r\n" for line in lines).encode()
