"""A connection's clock, on times that are made up."""

from typing import Any

import pytest

from alcove.server.http_deadlines import MIN_BODY_RATE, Clock, Deadlines

DEADLINES = Deadlines(header_s=10, body_s=30, send_s=60)


def late(clock: Clock, now: float) -> Any:
    return clock.late(now, DEADLINES)


def test_a_head_must_come_whole_in_time() -> None:
    clock = Clock()
    clock.expect_head(5, begun=False)
    assert late(clock, 15) is None
    assert late(clock, 15.1) == "idle", "no byte of a request has come"
    for now in range(6, 15):  # a byte a second
        clock.expect_head(now, begun=True)
    assert late(clock, 15) is None
    assert late(clock, 15.1) == "head"


def test_a_server_that_works_waits_for_nothing() -> None:
    clock = Clock()
    clock.expect_head(0, begun=True)
    clock.expect_nothing()
    assert late(clock, 1000) is None
    clock.expect_head(1000, begun=True)
    assert late(clock, 1010) is None
    assert late(clock, 1011) == "head"


@pytest.mark.parametrize(("rate", "lasts"), [(1, 30), (MIN_BODY_RATE // 2, 60), (MIN_BODY_RATE * 2, None)])
def test_a_body_must_come_at_some_rate(rate: int, lasts: int | None) -> None:
    """Half the rate for 60 s, a byte a second for 30 s, and for ever what comes fast enough."""
    clock = Clock()
    clock.expect_body(0)
    for now in range(1, 3600):
        clock.count(rate)
        if late(clock, now) is not None:
            assert lasts is not None
            assert now == pytest.approx(lasts, abs=2)
            return
    assert lasts is None


def test_what_is_not_read_is_not_late() -> None:
    clock = Clock()
    clock.expect_body(0)
    clock.pause(29)
    assert late(clock, 59) is None
    assert late(clock, 60) == "body"
    clock.expect_nothing()
    clock.pause(60)
    assert late(clock, 1000) is None


def test_a_reader_is_cut_off_when_it_takes_nothing() -> None:
    clock = Clock()
    assert not clock.stalled(0, 0, DEADLINES)
    assert not clock.stalled(0, 100, DEADLINES), "there is nothing to take"
    assert not clock.stalled(500, 101, DEADLINES)
    assert not clock.stalled(500, 161, DEADLINES)
    assert not clock.stalled(499, 162, DEADLINES), "it has taken a byte"
    assert not clock.stalled(499, 222, DEADLINES)
    assert clock.stalled(499, 222.1, DEADLINES)
