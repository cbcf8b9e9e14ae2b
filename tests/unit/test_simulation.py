"""The benchmark's simulation of closed batches, against cases worked out by hand."""

import pytest

from tests.bench.simulation import Service, first_tokens

ONE_EACH = Service([[1, 1, 1.0, 1.0]])
"""Encoding takes a second, and so does each step, whatever the batch."""


def test_a_lone_request_begins_at_once():
    assert first_tokens([5.0], [3], ONE_EACH, workers=1) == [2.0]


def test_what_waits_begins_together_when_the_last_row_has_left():
    # encoded until 1, steps until 2 and 3; then both others, encoded until 4, first tokens at 5
    assert first_tokens([0.0, 0.5, 1.0], [2, 1, 3], ONE_EACH, workers=1) == [2.0, 4.5, 4.0]


def test_a_batch_is_not_larger_than_it_may_be():
    # the third begins when the two others are done, at 3 + 1 + 1
    assert first_tokens([0.0, 1.0, 1.0, 1.0], [2, 1, 1, 1], ONE_EACH, workers=1, most=2) == [2.0, 4.0, 4.0, 6.0]


def test_workers_take_their_share():
    # two lone ones until 2; at 2 one worker is free first and takes half of the four, the other the rest
    times = first_tokens([0.0, 0.0, 1.0, 1.0, 1.0, 1.0], [1] * 6, ONE_EACH, workers=2)
    assert times == [2.0, 2.0, 3.0, 3.0, 3.0, 3.0]


def test_steps_depend_on_the_rows_that_are_left_and_on_the_busy_workers():
    service = Service([[1, 1, 0.0, 1.0], [3, 1, 0.0, 5.0], [1, 2, 0.0, 2.0], [3, 2, 0.0, 10.0]])
    assert [service.step(rows, 1) for rows in (1, 2, 3, 4)] == [1.0, 3.0, 5.0, 5.0]
    assert service.step(2, 2) == 6.0
    # alone until 1; then the two together, 3 s for the first step, 1 s for the row that is left; then the last
    assert first_tokens([0.0, 0.5, 0.5, 1.5], [1, 1, 2, 1], service, workers=1) == pytest.approx([1.0, 3.5, 3.5, 4.5])
