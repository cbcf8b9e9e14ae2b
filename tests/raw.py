"""Bytes -> a server -> bytes, for tests of what no HTTP client would send."""

import re
import socket
import time

from tests import every_error

POST = b"POST /p HTTP/1.1\r\nhost: a\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"


def exchange(port: int, *requests: bytes, cut_at: int | None = None, quiet_s: float = 0.5) -> tuple[bytes, bool]:
    """Send one after another, each when nothing more has come for a moment, and return all that has come, and whether
    the server has closed the connection. The first is sent in two pieces when it is to be cut."""
    with socket.create_connection(("127.0.0.1", port), timeout=quiet_s) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer, closed = _exchanged(connection, requests, cut_at)
    every_error.see_raw(answer)
    return answer, closed


def _exchanged(connection: socket.socket, requests: tuple[bytes, ...], cut_at: int | None) -> tuple[bytes, bool]:
    answer = b""
    for number, request in enumerate(requests):
        pieces = [request[:cut_at], request[cut_at:]] if cut_at and not number else [request]
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.05 if len(pieces) > 1 else 0)
        try:
            while data := connection.recv(65536):
                answer += data
            return answer, True
        except TimeoutError:
            pass
        except ConnectionResetError:
            return answer, True
    return answer, False


def statuses(answer: bytes) -> list[int]:
    """Of the answers, in their order."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answer)]


def head(*, size: int = 0, headers: int = 1, target: int = 1) -> bytes:
    """A request's head, with a target, a number of headers, and values of a size."""
    return b"GET /%s HTTP/1.1\r\nhost: a\r\n%s\r\n" % (b"t" * target, (b"x: %s\r\n" % (b"y" * size)) * (headers - 1))
