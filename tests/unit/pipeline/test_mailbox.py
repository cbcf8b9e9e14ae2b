"""The mailbox between engine threads and the event loop."""

import asyncio
import threading

import pytest

from alcove.errors import DeadlineExceeded
from alcove.pipeline.mailbox import AWAY_S, MOST_AT_ONCE, MOST_BEHIND, Mailbox
from alcove.runs import Step


async def test_steps_of_many_threads_reach_their_readers_in_order() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    names = [f"run-{number}" for number in range(8)]
    readers = {name: mailbox.open([name]) for name in names}

    def produce(name: str) -> None:
        for token in range(500):
            mailbox.put([Step(run=name, tokens=(token,))])

    threads = [threading.Thread(target=produce, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for reader in readers.values():
        tokens: list[int] = []
        while len(tokens) < 500:
            tokens += [token for step in await reader.take() for token in step.tokens]
        assert tokens == list(range(500))
    for thread in threads:
        thread.join()


async def test_what_piled_up_comes_at_once_with_one_wake_up() -> None:
    loop = asyncio.get_running_loop()
    mailbox = Mailbox(loop)
    reader = mailbox.open(["a", "b"])
    for token in range(5):
        mailbox.put([Step(run="a" if token % 2 else "b", tokens=(token,))])
    assert [step.tokens for step in await reader.take()] == [(0,), (1,), (2,), (3,), (4,)]


async def test_closed_readers_and_closed_loops_take_nothing() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    reader, other = mailbox.open(["a"]), mailbox.open(["b"])
    reader.close()
    mailbox.put([Step(run="a", tokens=(1,))])
    mailbox.put([Step(run="b", tokens=(2,))])
    assert [step.tokens for step in await other.take()] == [(2,)]
    closed = asyncio.new_event_loop()
    orphan = Mailbox(closed)
    closed.close()
    orphan.put([Step(run="a")])


async def test_who_wants_only_the_end_is_woken_by_it_or_after_a_while() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    reader = mailbox.open(["a"], gather_s=0.05)
    taking = asyncio.create_task(reader.take())
    for token in range(3):
        mailbox.put([Step(run="a", tokens=(token,))])
        await asyncio.sleep(0.001)
    assert not taking.done()
    assert len(await taking) == 3
    mailbox.put([Step(run="a", tokens=(3,))])
    mailbox.put([Step(run="a", finish="stop")])
    async with asyncio.timeout(0.04):
        assert len(await reader.take()) == 2
    mailbox.put([Step(run="a", error="broken")])
    async with asyncio.timeout(0.04):
        assert len(await reader.take()) == 1


async def test_steps_put_together_wake_the_loop_once() -> None:
    class Counting:
        def __init__(self) -> None:
            self.calls = 0

        def call_soon_threadsafe(self, callback: object) -> None:
            self.calls += 1

    loop = Counting()
    mailbox = Mailbox(loop)  # type: ignore[arg-type]
    mailbox.put([Step(run=name, tokens=(1,)) for name in "abc"])
    mailbox.put([Step(run="a", tokens=(2,))])
    assert loop.calls == 1


async def test_what_has_piled_up_is_taken_in_turns_with_others() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    reader = mailbox.open(["a"])
    mailbox.put([Step(run="a", tokens=(token,)) for token in range(10 * MOST_AT_ONCE + 1)])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(others())
    taken: list[Step] = []
    while len(taken) < 10 * MOST_AT_ONCE + 1:
        piece = await reader.take()
        assert len(piece) <= MOST_AT_ONCE
        taken += piece
    running.cancel()
    assert [step.tokens[0] for step in taken] == list(range(10 * MOST_AT_ONCE + 1))
    assert turns >= 10
    mailbox.put([Step(run="a", tokens=(1,))])
    assert len(await reader.take()) == 1


async def test_who_takes_nothing_while_too_much_comes_is_given_up_and_others_are_not() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    failed: list[str] = []
    away = mailbox.open(["away"], on_failure=lambda: failed.append("away"))
    whole = mailbox.open(["whole"], gather_s=60.0, on_failure=lambda: failed.append("whole"))
    names = ("away", "whole")
    mailbox.put([Step(run=name, tokens=(1,)) for name in names for _ in range(MOST_BEHIND + 5)])
    await asyncio.sleep(AWAY_S / 2)
    assert not failed, "all of it has come in one moment, in which nobody could have taken it"
    await asyncio.sleep(AWAY_S)
    mailbox.put([Step(run=name, tokens=(2,)) for name in names])
    mailbox.deliver()
    assert failed == ["away"]
    with pytest.raises(DeadlineExceeded, match="16,384 tokens behind"):
        await away.take()
    mailbox.put([Step(run="whole", finish="stop")])
    assert len(await whole.take()) == MOST_AT_ONCE
