"""Whoever wants to know is told of each refusal, once, under the id that the client was given."""

import re

import pytest

from alcove.server import http_refusals
from alcove.server.http_refusals import Refusal
from tests.raw import CHUNKED, POST, exchange, head, statuses

HI = POST + b"content-length: 2\r\n\r\nhi"
Told = list[tuple[Refusal, str, bool]]


@pytest.mark.parametrize(
    ("sent", "refusal"),
    [
        (b"!\r\n\r\n" * 100, http_refusals.MALFORMED),
        (POST + b"host: b\r\n\r\n", http_refusals.HOSTS),
        (POST + b"transfer-encoding: gzip, chunked\r\n\r\n", http_refusals.CODINGS),
        (head(headers=101), http_refusals.TOO_LARGE),
        (CHUNKED + b"2\r\nhi\r\n!\r\n", http_refusals.MALFORMED),
    ],
)
def test_a_refusal_is_told_under_the_id_of_its_answer(port: int, refusals: Told, sent: bytes, refusal: Refusal) -> None:
    refusals.clear()
    answer, _ = exchange(port, sent, b"more\r\n\r\n")
    [told] = refusals
    assert told == (refusal, re.findall(rb"x-request-id: (\S+)", answer)[0].decode(), True)


def test_the_id_is_the_clients_where_a_request_had_begun(port: int, refusals: Told) -> None:
    refusals.clear()
    body = b"x-request-id: mine\r\ntransfer-encoding: chunked\r\n\r\n!\r\n"
    assert b"x-request-id: mine\r\n" in exchange(port, POST + body)[0]
    exchange(port, POST + b"x-request-id: mine\r\nx: \x00\r\n\r\n")
    assert [name == "mine" for _, name, _ in refusals] == [True, False]


def test_what_closes_a_connection_behind_an_answer_is_told_too(port: int, refusals: Told) -> None:
    refusals.clear()
    answer, closed = exchange(port, HI + b"!\r\n\r\n")
    assert (statuses(answer), closed) == ([200], True)
    assert [(refusal, answered) for refusal, _, answered in refusals] == [(http_refusals.MALFORMED, False)]


def test_what_is_answered_or_leaves_is_no_refusal(port: int, refusals: Told) -> None:
    refusals.clear()
    exchange(port, HI, HI)
    exchange(port, HI[:20])
    assert refusals == []
