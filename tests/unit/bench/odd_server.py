"""A server that answers as the model's name says: well, or in each of the ways in which servers fail."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from alcove.bench.server import Server

CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 4}
ERROR = {"error": {"message": "the model\nis tired", "type": "server_error"}}


class OddServer:
    """Counts connections and requests."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[dict[str, object]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    if not await self._answer(str(request["model"]), request, writer):
                        break
                finally:
                    self.at_once -= 1
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answer(self, behaviour: str, request: dict[str, object], writer: asyncio.StreamWriter) -> bool:
        """Write an answer. Whether the connection stays."""
        words = [text("a"), text("b"), {"choices": [], "usage": USAGE}]
        match behaviour:
            case "whole":
                writer.write(answered({"choices": [{"index": 0, "text": "ab"}], "usage": USAGE}))
            case "closes":  # a body that only the end of the connection ends
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps({"choices": [{"text": "ab"}]}).encode())
                return False
            case "leaves":  # says that the connection stays, and closes it
                writer.write(answered({"choices": [{"text": "ab"}], "usage": USAGE}))
                return False
            case "slow":
                await asyncio.sleep(0.02)
                writer.write(answered({"choices": [{"text": "ab"}], "usage": USAGE}))
            case "under load":
                await asyncio.sleep(0.02)
                mixed = "ab" if self.at_once == 1 else "of another"
                writer.write(answered({"choices": [{"text": mixed}], "usage": USAGE}))
            case "stream":
                writer.write(CHUNKED)
                for event in words:
                    writer.write(chunk(sse(event)))
                    await writer.drain()
                    await asyncio.sleep(0.01)
                writer.write(chunk(b"data: [DONE]\n\n") + chunk(b""))
            case "without usage":
                writer.write(CHUNKED + b"".join(chunk(sse(event)) for event in words[:2]) + chunk(b"data: [DONE]\n\n"))
                writer.write(chunk(b""))
            case "without end":
                writer.write(CHUNKED + b"".join(chunk(sse(event)) for event in words) + chunk(b""))
            case "error event":
                writer.write(CHUNKED + chunk(sse(words[0])) + chunk(sse(ERROR)) + chunk(b""))
            case "cut":
                writer.write(CHUNKED + chunk(sse(words[0])))
                return False
            case "cut at once":
                return False
            case "hangs":
                writer.write(CHUNKED + chunk(sse(words[0])))
                await self.over.wait()
            case "500":
                writer.write(answered(ERROR, "500 Internal Server Error"))
            case "502":
                page = b"<html>Bad Gateway</html>"
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: %d\r\n\r\n%s" % (len(page), page))
            case "not HTTP":
                writer.write(b"hello\r\n\r\n")
            case "not JSON":
                writer.write(CHUNKED + chunk(b"data: {\n\n") + chunk(b""))
            case "no choices":
                writer.write(answered({"object": "list"}))
        await writer.drain()
        return True


def text(words: str) -> dict[str, object]:
    return {"choices": [{"index": 0, "text": words}]}


def sse(event: object) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def answered(body: object, status: str = "200 OK") -> bytes:
    content = json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content


async def _read(reader: asyncio.StreamReader) -> dict[str, object] | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    headers = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:] if line)
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return {**json.loads(body), "headers": headers, "line": head.decode().split("\r\n")[0]} if body else None


@asynccontextmanager
async def odd_server() -> AsyncIterator[tuple[Server, OddServer]]:
    """The server, and how it is reached."""
    odd = OddServer()
    listening = await asyncio.start_server(odd.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield Server.at(f"http://127.0.0.1:{port}", "sk-test"), odd
    finally:
        odd.over.set()
        await asyncio.sleep(0)
        listening.close()
