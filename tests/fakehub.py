"""A small Hugging Face Hub on 127.0.0.1: as much of its protocol as a snapshot needs, with faults on demand."""

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit


class FakeHub:
    """Serves repositories from memory, in a thread, inside `with`.

    `downloads` lists every file that was sent and from which byte on. `cut_once` maps a file's name to the number of
    bytes after which its connection is cut, the first time; the files in `broken` are answered with 403, those in
    `held` not before the end.
    """

    def __init__(self, repos: Mapping[str, Mapping[str, bytes]]) -> None:
        self.repos = {repo: dict(files) for repo, files in repos.items()}
        self.downloads: list[tuple[str, int]] = []
        self.cut_once: dict[str, int] = {}
        self.broken: set[str] = set()
        self.held: set[str] = set()
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

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/models/"):
            self._api(path.removeprefix("/api/models/").split("/"))
        else:
            self._file(path.removeprefix("/").split("/"))

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""

    def _api(self, parts: list[str]) -> None:
        repo, rest = "/".join(parts[:2]), parts[2:]
        if repo not in self.hub.repos:
            self._refuse(404, "RepoNotFound")
            return
        files, commit = self.hub.repos[repo], self.hub.commit(repo)
        if len(rest) > 1 and rest[1] not in ("main", commit):
            self._refuse(404, "RevisionNotFound")
        elif rest[:1] == ["tree"]:
            self._json(
                [
                    {"type": "file", "path": name, "size": len(content), "oid": _etag(content)}
                    for name, content in files.items()
                ]
            )
        else:
            self._json({"id": repo, "sha": commit, "siblings": [{"rfilename": name} for name in files]})

    def _file(self, parts: list[str]) -> None:
        repo, name = "/".join(parts[:2]), "/".join(parts[4:])
        content = self.hub.repos.get(repo, {}).get(name)
        if content is None:
            self._refuse(404, "EntryNotFound")
            return
        if name in self.hub.broken:
            self._refuse(403, "Broken")
            return
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{_etag(content)}"')
        self.send_header("X-Repo-Commit", self.hub.commit(repo))
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        self.hub.downloads.append((name, start))
        if name in self.hub.held:
            self.hub.ended.wait()
            self.close_connection = True
            return
        if (end := self.hub.cut_once.pop(name, None)) is not None:
            self.wfile.write(content[start:end])
            self.close_connection = True
        else:
            self.wfile.write(content[start:])

    def _json(self, data: object) -> None:
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _etag(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
