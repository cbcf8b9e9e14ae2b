"""How long a request may wait, begin and last."""

from typing import Any

import pytest

from alcove.config.settings import ModelSettings
from alcove.errors import DeadlineExceeded
from alcove.pipeline.deadlines import Deadlines
from alcove.pipeline.mailbox import Mailbox, Reader
from alcove.runs import Step
from tests.unit.pipeline.virtual import Clock


class Loop(Clock):
    """A clock whose loop looks at its mailbox only when it is asked."""

    def call_soon_threadsafe(self, callback: Any) -> None:
        pass


def submitted(**limits: float) -> tuple[Loop, Mailbox, Reader, Deadlines]:
    clock = Loop()
    mailbox = Mailbox(clock.loop)
    reader = mailbox.open(["a", "b"])
    none = dict.fromkeys(("queue_timeout_s", "first_token_timeout_s", "request_timeout_s"), 0.0)
    settings = ModelSettings(name="m", source="m", **{**none, **limits})
    return clock, mailbox, reader, Deadlines(settings, reader, clock.loop)


async def failure(reader: Reader) -> str:
    with pytest.raises(DeadlineExceeded) as caught:
        await reader.take()
    return str(caught.value)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("queue_timeout_s", "its turn did not come within 5 s"),
        ("first_token_timeout_s", "no token came within 5 s"),
        ("request_timeout_s", "the answer was not complete after 5 s"),
    ],
)
async def test_each_limit_is_named(limit: str, words: str) -> None:
    clock, _, reader, _ = submitted(**{limit: 5})
    clock.wait(4.9)
    assert not reader._due
    clock.wait(0.1)
    assert await failure(reader) == f"The request was given up: {words} ({limit})."


async def test_a_run_that_has_begun_waits_for_its_first_token_only() -> None:
    clock, mailbox, reader, _ = submitted(queue_timeout_s=5, first_token_timeout_s=8)
    mailbox.put([Step(run="b", began=True)])
    clock.wait(7)
    assert not reader._due
    clock.wait(1)
    assert "first_token_timeout_s" in await failure(reader)


async def test_a_first_token_leaves_the_limit_of_the_whole() -> None:
    clock, mailbox, reader, _ = submitted(queue_timeout_s=5, first_token_timeout_s=8, request_timeout_s=60)
    mailbox.put([Step(run="a", tokens=(1,))])
    clock.wait(59)
    assert [step.tokens for step in await reader.take()] == [(1,)]
    clock.wait(1)
    assert "request_timeout_s" in await failure(reader)


async def test_the_shortest_limit_that_holds_comes_first() -> None:
    clock, _, reader, _ = submitted(queue_timeout_s=50, first_token_timeout_s=50, request_timeout_s=2)
    clock.wait(2)
    assert "request_timeout_s" in await failure(reader)


def test_an_ended_request_has_no_timer_and_one_without_limits_neither() -> None:
    clock, _, _, deadlines = submitted(queue_timeout_s=5)
    deadlines.close()
    assert not clock.due
    assert not submitted()[0].timers
