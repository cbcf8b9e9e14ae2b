"""A small Hugging Face Hub on 127.0.0.1: as much of its protocol as a pull needs, with faults on demand."""

import hashlib
import json
import socket
import struct
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from tests import every_error

LARGE = (".safetensors", ".bin", ".model", ".gguf")
"""Ends of the names of files in large storage, whose sha256 the Hub tells; of others it tells git's hash."""


class FakeHub:
    """Serves repositories from memory, in a thread, inside `with`.

    Faults, by a file's name: `cuts` are the numbers of bytes after which its next connections are cut; `broken` is
    answered with 403, `replaced` with another content than the listing speaks of; `held` is sent up to a byte, and the
    rest not before the end; `busy` are answers (status and Retry-After) that come first, under "" those to questions
    about a repository.
    """

    def __init__(self, repos: Mapping[str, Mapping[str, bytes]]) -> None:
        self.repos = {repo: dict(files) for repo, files in repos.items()}
        self.listed: dict[str, list[str]] = {}
        """Names that a repository lists besides its files."""
        self.cuts: dict[str, list[int]] = {}
        self.bare = False
        """Whether listings have names only, as some mirrors' have."""
        self.resets = False
        """Whether a cut is a reset instead of an orderly end."""
        self.broken: set[str] = set()
        self.replaced: dict[str, bytes] = {}
        self.held: dict[str, int] = {}
        self.busy: dict[str, list[tuple[int, str]]] = {}
        self.private: str | None = None
        """The token that all repositories ask for."""
        self.storage: str | None = None
        """Where files are redirected to."""
        self.downloads: list[tuple[str, int]] = []
        """Every file that was sent, and from which byte on."""
        self.asked: list[tuple[str, str | None]] = []
        """Every path that was asked for, and the Authorization that came with it."""
        self.ended = threading.Event()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def commit(self, repo: str) -> str:
        digest = hashlib.sha1(usedforsecurity=False)
        for name, content in sorted(self.repos[repo].items()):
            digest.update(name.encode() + b"\0" + content)
        return digest.hexdigest()

    def starts(self, name: str) -> list[int]:
        """The bytes from which on a file was sent, one after the other."""
        return [start for sent, start in self.downloads if sent == name]

    def __enter__(self) -> Self:
        every_error.foreign.add(self._server.server_port)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        every_error.foreign.discard(self._server.server_port)


def contents(folder: Path, *without: str) -> dict[str, bytes]:
    """The files of a model's folder, as a repository has them."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name not in without}


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        token = self.headers.get("Authorization")
        self.hub.asked.append((path, token))
        question = path.startswith("/api/models/")
        if busy := self.hub.busy.get("" if question else path.split("/")[-1]):
            status, patience = busy.pop(0)
            self._refuse(status, "Busy", **{"Retry-After": patience})
        elif self.hub.private is not None and token != f"Bearer {self.hub.private}":
            self._refuse(401, "RepoNotFound")
        elif question:
            self._api(path.removeprefix("/api/models/").split("/"))
        else:
            self._file(path.removeprefix("/").split("/"))

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""

    def _api(self, parts: list[str]) -> None:
        repo, rest = "/".join(parts[:2]), parts[2:]
        if repo not in self.hub.repos:
            self._refuse(404, "RepoNotFound")
            return
        files, commit = self.hub.repos[repo], self.hub.commit(repo)
        if len(rest) > 1 and "/".join(rest[1:]) not in ("main", commit):
            self._refuse(404, "RevisionNotFound")
            return
        siblings = [_described(name, content) for name, content in files.items()]
        siblings += [_described(name, b"") for name in self.hub.listed.get(repo, ())]
        if self.hub.bare:
            siblings = [{"rfilename": file["rfilename"]} for file in siblings]
        self._json({"id": repo, "sha": commit, "siblings": siblings})

    def _file(self, parts: list[str]) -> None:
        repo, name = "/".join(parts[:2]), "/".join(parts[4:])
        content = self.hub.repos.get(repo, {}).get(name)
        if content is None:
            self._refuse(404, "EntryNotFound")
        elif name in self.hub.broken:
            self._refuse(403, "Broken")
        elif self.hub.storage is not None:
            self._refuse(302, "", Location=self.hub.storage + self.path)
        else:
            self._send(name, self.hub.replaced.get(name, content), self.hub.commit(repo))

    def _send(self, name: str, content: bytes, commit: str) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.hub.downloads.append((name, start))
        if name in self.hub.held:
            self.wfile.write(content[start : self.hub.held[name]])
            self.hub.ended.wait()
            self.close_connection = True
        elif self.hub.cuts.get(name):
            self.wfile.write(content[start : self.hub.cuts[name].pop(0)])
            if self.hub.resets:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            self.close_connection = True
        else:
            self.wfile.write(content[start:])

    def _json(self, data: object) -> None:
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _described(name: str, content: bytes) -> dict[str, object]:
    """A file in a listing with `blobs=true`."""
    git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    described: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": git}
    if name.endswith(LARGE):
        sha256 = hashlib.sha256(content).hexdigest()
        described["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 130}
    return described
