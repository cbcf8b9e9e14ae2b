"""Several requests on a connection, old clients and offers: in order, and nothing lost."""

import pytest

from tests.raw import CHUNKED, POST, exchange, head, statuses

HI = POST + b"content-length: 2\r\n\r\nhi"
STREAM = b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n"


def test_a_connection_is_kept(port: int) -> None:
    answer, closed = exchange(port, HI, STREAM, CHUNKED + b"0\r\n\r\n", HI.replace(b"/p", b"/last"))
    assert statuses(answer) == [200] * 4
    assert b"<POST /last hi" in answer
    assert not closed


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    answer, closed = exchange(port, HI.replace(b"/p", b"/one") + STREAM + HI.replace(b"/p", b"/two") + STREAM)
    assert statuses(answer) == [200] * 4
    assert answer.index(b"<POST /one hi") < answer.index(b"/stream") < answer.index(b"<POST /two hi")
    assert answer.endswith(b"0\r\n\r\n")
    assert not closed


def test_pipelined_requests_are_bounded(port: int) -> None:
    answer, closed = exchange(port, HI * 5000)
    assert set(statuses(answer)) == {200}, "those before the limit are answered"
    assert 1 <= len(statuses(answer)) <= 17
    assert closed


@pytest.mark.parametrize("begun", [HI, STREAM])
@pytest.mark.parametrize("wrong", [b"!\r\n\r\n", head(size=33_000, headers=2), head(headers=101), b"x" * 100_000])
def test_a_refusal_does_not_break_into_the_answer_before(port: int, begun: bytes, wrong: bytes) -> None:
    answer, closed = exchange(port, begun + wrong)
    assert statuses(answer) == [200]
    assert answer.endswith(b">" if begun is HI else b"0\r\n\r\n")
    assert closed


@pytest.mark.parametrize("path", [b"/unread", b"/stream"])
def test_a_body_that_breaks_off_ends_the_connection(port: int, path: bytes) -> None:
    answer, closed = exchange(port, CHUNKED.replace(b"/p", path) + b"2\r\nhi\r\n", b"!\r\n")
    assert statuses(answer) == ([200] if path == b"/unread" else [400])
    assert closed


def test_head_has_a_length_and_no_body(port: int) -> None:
    answer, closed = exchange(port, HI.replace(b"POST", b"HEAD") + HI)
    assert statuses(answer) == [200, 200]
    assert b"<HEAD" not in answer
    assert not closed


@pytest.mark.parametrize("host", [b"", b"host: a\r\n"])
def test_http_1_0_gets_no_chunks(port: int, host: bytes) -> None:
    for path in (b"/stream", b"/p"):
        answer, closed = exchange(port, b"GET %s HTTP/1.0\r\n%s\r\n" % (path, host))
        assert answer.endswith(b"\r\n\r\n<GET %s  %s>" % (path, b"host" if host else b""))
        assert (b"content-length" in answer) == (path == b"/p")
        assert b"transfer-encoding" not in answer
        assert closed


def test_100_continue_is_said_when_the_body_is_wanted(port: int) -> None:
    expecting = POST + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    assert statuses(exchange(port, expecting)[0]) == [100]
    assert statuses(exchange(port, expecting, b"hi")[0]) == [100, 200]
    answer, closed = exchange(port, expecting.replace(b"/p", b"/unread"))
    assert statuses(answer) == [200]
    assert closed, "what comes next may be the body or another request"


@pytest.mark.parametrize("offer", [b"h2c", b"websocket"])
def test_an_offer_of_another_protocol_costs_no_body(port: int, offer: bytes) -> None:
    offering = POST + b"connection: Upgrade\r\nupgrade: %s\r\ncontent-length: 2\r\n\r\nhi" % offer
    answer, closed = exchange(port, offering + offering, HI)
    assert statuses(answer) == [200] * 3
    assert answer.count(b"<POST /p hi host,connection,content-length>") == 2
    assert not closed
    answer, _ = exchange(port, offering, cut_at=len(offering) - 2)
    assert b"<POST /p hi " in answer
