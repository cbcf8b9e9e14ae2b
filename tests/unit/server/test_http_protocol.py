"""What the HTTP protocol refuses: malformed requests and heads beyond the limits."""

import json

import pytest

from tests.raw import CHUNKED, POST, exchange, head, statuses


def refused(answer: bytes, status: int, code: str) -> bool:
    """Whether that is the only answer, in OpenAI's words."""
    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert b"content-type: application/json" in head
    assert b"connection: close" in head
    assert set(error) == {"message", "type", "param", "code"}
    return statuses(answer) == [status] and error["code"] == code and error["type"] == "invalid_request_error"


MALFORMED = {
    "both lengths": POST + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "both lengths, the other way": POST
    + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "a length twice": POST + b"content-length: 2\r\ncontent-length: 2\r\n\r\nhi",
    "two lengths": POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi",
    "a list of lengths": POST + b"content-length: 2, 2\r\n\r\nhi",
    "a signed length": POST + b"content-length: +2\r\n\r\nhi",
    "an empty length": POST + b"content-length:\r\n\r\n",
    "a length of 65 bits": POST + b"content-length: 18446744073709551618\r\n\r\nhi",
    "compressed": POST + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "another coding": POST + b"transfer-encoding: xchunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "a coding twice": POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "a space before the colon": POST + b"content-length : 2\r\n\r\nhi",
    "a bare LF": POST + b"x: y\ncontent-length: 2\r\n\r\nhi",
    "a bare CR": POST + b"x: y\rz: y\r\n\r\n",
    "only LF": b"GET /p HTTP/1.1\nhost: a\n\n",
    "a folded line": POST + b"x: y\r\n z\r\ncontent-length: 2\r\n\r\nhi",
    "a NUL": POST + b"x: \0\r\n\r\n",
    "a name with a bracket": POST + b"x(y: z\r\n\r\n",
    "no colon": POST + b"xyz\r\n\r\n",
    "no host": b"GET /p HTTP/1.1\r\n\r\n",
    "two hosts": POST + b"host: b\r\n\r\n",
    "an unknown method": b"FROB /p HTTP/1.1\r\nhost: a\r\n\r\n",
    "a method in small letters": b"get /p HTTP/1.1\r\nhost: a\r\n\r\n",
    "no version": b"GET /p\r\nhost: a\r\n\r\n",
    "HTTP/2": b"GET /p HTTP/2.0\r\nhost: a\r\n\r\n",
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a tunnel": b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n",
    "no path": b"GET http://a HTTP/1.1\r\nhost: a\r\n\r\n",
    "bytes in the path": b"GET /\xc3\xa9 HTTP/1.1\r\nhost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a chunk of no size": CHUNKED + b"zz\r\nhi\r\n0\r\n\r\n",
    "a chunk over its size": CHUNKED + b"2\r\nhiXX0\r\n\r\n",
    "a chunk that LF ends": CHUNKED + b"2\nhi\n0\n\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_refused_in_openais_words(port: int, sent: bytes) -> None:
    answer, closed = exchange(port, sent)
    assert refused(answer, 400, "malformed_request")
    assert closed


@pytest.mark.parametrize("within", [head(size=32_000, headers=2), head(headers=100), head(target=32_000)])
def test_heads_within_the_limits_are_read(port: int, within: bytes) -> None:
    assert statuses(exchange(port, within)[0]) == [200]
    assert statuses(exchange(port, within, cut_at=9_000)[0]) == [200]


@pytest.mark.parametrize("beyond", [head(size=33_000, headers=2), head(headers=101), head(target=33_000)])
def test_heads_beyond_the_limits_are_refused(port: int, beyond: bytes) -> None:
    for cut_at in (len(beyond), 9_000, len(beyond) - 2):
        answer, closed = exchange(port, beyond, cut_at=cut_at)
        assert refused(answer, 431, "headers_too_large")
        assert closed


def test_trailers_are_no_headers(port: int) -> None:
    answer, closed = exchange(port, CHUNKED + b"2;extension=1\r\nhi\r\n0\r\nauthorization: Bearer x\r\n\r\n")
    assert b"<POST /p hi host,transfer-encoding>" in answer
    assert not closed
