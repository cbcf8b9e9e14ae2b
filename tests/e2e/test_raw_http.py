"""What no HTTP client would send, to the real server: each request has one answer, or the connection is closed.

Behind every one goes an ordinary request: who reads the first otherwise than the server did would be answered twice, or
not at all.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.raw import exchange, statuses
from tests.serving import Server, running

CONFIGURATION = '[[model]]\nname = "echo"\nsource = "builtin:echo"\nengine = "echo"\n'
NEXT = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"
BODY = b'{"prompt":"hi"}'
INNER = b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n"


def post(*headers: bytes, body: bytes = b"", path: bytes = b"/v1/completions") -> bytes:
    lines = [b"POST %s HTTP/1.1" % path, b"host: localhost", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def length(number: int) -> bytes:
    return b"content-length: %d" % number


def get(path: bytes, host: bytes = b"localhost") -> bytes:
    return b"GET %s HTTP/1.1\r\nhost: %s\r\n\r\n" % (path, host)


CHUNKED = b"transfer-encoding: chunked"
WHOLE = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

ANSWERED: dict[str, tuple[bytes, int]] = {
    "a length": (post(length(len(BODY)), body=BODY), 200),
    "chunks": (post(CHUNKED, body=WHOLE), 200),
    "a chunk a byte": (post(CHUNKED, body=b"".join(b"1\r\n%c\r\n" % b for b in BODY) + b"0\r\n\r\n"), 200),
    "leading zeros": (post(CHUNKED, body=b"000000%x\r\n%s\r\n00\r\n\r\n" % (len(BODY), BODY)), 200),
    "capitals": (post(b"Transfer-Encoding: Chunked", body=WHOLE), 200),
    "an extension": (post(CHUNKED, body=WHOLE.replace(b"\r\n{", b";a=b\r\n{")), 200),
    "a trailer": (post(CHUNKED, body=WHOLE[:-2] + b"authorization: Bearer x\r\n\r\n"), 200),
    "a request in a body": (post(length(len(INNER)), body=INNER), 400),
    "a request in a chunk": (post(CHUNKED, body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(INNER), INNER)), 400),
    "a body for a GET": (get(b"/v1/models")[:-2] + length(len(INNER)) + b"\r\n\r\n" + INNER, 200),
    "a body that is not read": (post(length(len(INNER)), body=INNER, path=b"/nothing"), 404),
    "an unfinished method override": (post(b"x-http-method-override: DELETE", length(len(BODY)), body=BODY), 200),
    "a header twice": (post(b"x-request-id: a", b"x-request-id: b", length(len(BODY)), body=BODY), 200),
    "an absolute path": (get(b"http://localhost/health/live"), 200),
    "another scheme": (get(b"ftp://localhost/health/live"), 200),
    "an encoded path": (get(b"/%68ealth/live"), 200),
    "two slashes": (get(b"//health/live"), 404),
    "dots": (get(b"/v1/../health/live"), 404),
    "encoded dots": (get(b"/v1/%2e%2e/health/live"), 404),
    "a slash at the end": (get(b"/health/live/"), 404),
    "capitals in the path": (get(b"/HEALTH/LIVE"), 404),
    "a backslash": (get(b"/v1\\..\\health/live"), 404),
    "a NUL in the path": (get(b"/health/live%00"), 404),
    "half a letter in the path": (get(b"/v1/models/%ff"), 404),
    "a broken escape": (get(b"/v1/models/%zz"), 404),
    "CR and LF in the path": (get(b"/health/live%0d%0ax:y"), 404),
    "a path as a model": (get(b"/v1/models/..%2f..%2fetc%2fpasswd"), 404),
    "a long name": (get(b"/v1/models/" + b"a" * 8000), 404),
    "a question": (get(b"/health/live?/../x#y"), 200),
    "empty lines before it": (b"\r\n\r\n" + get(b"/health/live"), 200),
    "OPTIONS": (b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n", 404),
    "TRACE": (b"TRACE /health HTTP/1.1\r\nhost: localhost\r\n\r\n", 405),
    "a range": (get(b"/v1/models")[:-2] + b"range: bytes=%s\r\n\r\n" % (b"0-1," * 2000), 200),
}
"""What is read, and how it is answered; the ordinary request after it, too."""

CLOSED: dict[str, bytes] = {
    "both lengths": post(length(4), CHUNKED, body=b"0\r\n\r\n" + INNER),
    "both lengths, the other way": post(CHUNKED, length(4), body=b"0\r\n\r\n" + INNER),
    "chunks that are not": post(b"transfer-encoding: xchunked", length(len(BODY)), body=BODY),
    "a coding behind a tab": post(b"transfer-encoding:\tchunked, identity", body=WHOLE),
    "a coding in two headers": post(b"transfer-encoding: identity", CHUNKED, body=WHOLE),
    "a folded coding": post(b"transfer-encoding:\r\n chunked", body=WHOLE),
    "a coding with a vertical tab": post(b"transfer-encoding: \x0bchunked", body=WHOLE),
    "a space before the colon": post(b"transfer-encoding : chunked", body=WHOLE),
    "a bare LF in the head": post(b"x: y\ntransfer-encoding: chunked", body=WHOLE),
    "two lengths": post(length(4), length(len(BODY)), body=BODY),
    "a length in hexadecimal": post(b"content-length: 0xf", body=BODY),
    "a length with a plus": post(b"content-length: +15", body=BODY),
    "a length below zero": post(b"content-length: -1", body=BODY),
    "a length in words": post(b"content-length: ten", body=BODY),
    "a length with a blank": post(b"content-length: 1 5", body=BODY),
    "a chunk's size below zero": post(CHUNKED, body=b"-f\r\n" + WHOLE),
    "a chunk's size with 0x": post(CHUNKED, body=b"0x" + WHOLE),
    "a chunk's size of 65 bits": post(CHUNKED, body=b"1000000000000000f\r\n" + BODY),
    "a chunk's size in words": post(CHUNKED, body=b"ten\r\n" + BODY),
    "a chunk with a bare LF": post(CHUNKED, body=WHOLE.replace(b"\r\n", b"\n")),
    "a chunk longer than it says": post(CHUNKED, body=b"3\r\n%s\r\n0\r\n\r\n" % BODY),
    "a trailer that is a length": post(CHUNKED, body=WHOLE[:-2] + b"content-length: 9\r\n\r\n"),
    "no host": b"GET /health/live HTTP/1.1\r\n\r\n",
    "two hosts": get(b"/health/live")[:-2] + b"host: localhost\r\n\r\n",
    "HTTP/0.9": b"GET /health/live\r\n",
    "HTTP/1.2": get(b"/health/live").replace(b"1.1", b"1.2"),
    "HTTP/3": get(b"/health/live").replace(b"1.1", b"3.0"),
    "an unknown method": get(b"/health/live").replace(b"GET", b"PURGE!"),
    "a NUL in a header": get(b"/health/live")[:-2] + b"x: \0\r\n\r\n",
    "bytes of another protocol": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
}
"""What could be read in more than one way: refused, and nothing behind it is read."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder: Path = tmp_path_factory.mktemp("server")
    (folder / "alcove.toml").write_text(CONFIGURATION)
    with running("serve", cwd=folder) as server:
        yield port_of(server)


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


@pytest.mark.parametrize(("sent", "status"), ANSWERED.values(), ids=ANSWERED)
def test_one_answer_for_each_request(port: int, sent: bytes, status: int) -> None:
    answer, closed = exchange(port, sent + NEXT, quiet_s=0.3)
    assert statuses(answer) == [status, 200]
    assert answer.endswith(b'{"status":"live"}')
    assert not closed


@pytest.mark.parametrize("sent", CLOSED.values(), ids=CLOSED)
def test_nothing_is_read_behind_a_doubt(port: int, sent: bytes) -> None:
    answer, closed = exchange(port, sent + NEXT, quiet_s=3)
    assert statuses(answer) == [400]
    assert b'"object":"list"' not in answer, "the inner request was answered"
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "malformed_request"
    assert closed


@pytest.mark.parametrize(
    "host", [b"localhost", b"localhost:80", b"127.0.0.1:8000", b"[::1]:8000", b"LOCALHOST"]
)  # fmt: skip
def test_names_of_this_machine(port: int, host: bytes) -> None:
    assert statuses(exchange(port, get(b"/v1/models", host), quiet_s=0.3)[0]) == [200]


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"localhost/health",
        b"x/health/live?",
        b"localhost#",
        b"user@localhost",
        b"localhost:80:80",
        b"a b",
        b"\xff",
    ],
)
def test_what_is_no_name_changes_no_route(port: int, host: bytes) -> None:
    """What the Host header says must never decide which route is taken."""
    for path, expected in ((b"/nothing", {400, 403, 404}), (b"/v1/completions", {400, 403, 405})):
        answer, _ = exchange(port, get(path, host), quiet_s=0.3)
        assert set(statuses(answer)) <= expected
        assert len(statuses(answer)) == 1


def test_a_hundred_requests_at_once_have_their_answers_in_order(port: int) -> None:
    for number in range(7):
        texts = [b"%d-%d" % (number, place) for place in range(15)]
        bodies = [b'{"prompt":"%s"}' % text for text in texts]
        answer, closed = exchange(port, b"".join(post(length(len(b)), body=b) for b in bodies), quiet_s=0.5)
        assert statuses(answer) == [200] * 15
        places = [answer.index(b'"text":"%s"' % text) for text in texts]
        assert places == sorted(places)
        assert not closed
