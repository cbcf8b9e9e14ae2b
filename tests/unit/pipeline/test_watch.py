"""When an engine counts as hung."""

from collections.abc import Callable

from alcove.pipeline.watch import Watch
from tests.unit.pipeline.virtual import Clock


def watching(
    limit_s: float = 10.0, silent_s: Callable[[Clock], float] = lambda _: 0.0
) -> tuple[Clock, Watch, list[str]]:
    """`silent_s`: of the engine's batches, at the clock's time."""
    clock, told = Clock(), list[str]()
    return clock, Watch("m", limit_s, clock.loop, lambda: silent_s(clock), told.append), told


def test_silence_is_told_once_and_news_end_it() -> None:
    clock, watch, told = watching()
    watch.enter()
    clock.wait(9.9)
    assert (watch.trouble, told) == (None, [])
    clock.wait(0.1)
    assert told == ["model 'm': its engine has made no step for 10 s, though requests wait"]
    assert watch.trouble == told[0]
    clock.wait(100)
    assert len(told) == 1
    watch.news()
    assert watch.trouble is None
    clock.wait(10)
    assert len(told) == 2


def test_when_all_have_given_up_and_nothing_runs_the_trouble_is_over() -> None:
    """Or nobody would ever be sent here again, by whom readiness is obeyed."""
    clock, watch, told = watching()
    watch.enter()
    clock.wait(10)
    assert watch.trouble == told[0]
    watch.leave()
    assert watch.trouble is None


def test_steps_for_anybody_are_signs_of_life() -> None:
    clock, watch, told = watching()
    watch.enter()
    watch.enter()
    for _ in range(20):
        clock.wait(6)
        watch.news()
    watch.leave()
    clock.wait(9)
    assert not told


def test_nobody_waits_for_an_idle_engine() -> None:
    clock, watch, told = watching()
    watch.enter()
    watch.news()
    watch.leave()
    clock.wait(1000)
    assert not clock.due
    watch.enter()
    clock.wait(9)
    assert not told


def test_those_who_give_up_in_turn_add_up() -> None:
    """A client that leaves after 4 seconds, again and again, finds out that an engine hangs, too."""
    clock, watch, told = watching()
    for _ in range(2):
        watch.enter()
        clock.wait(4)
        watch.leave()
        clock.wait(50)
    watch.enter()
    clock.wait(1.9)
    assert not told
    clock.wait(0.2)
    assert told


def test_without_a_limit_there_is_no_timer() -> None:
    clock, watch, told = watching(0)
    watch.enter()
    watch.news()
    assert not clock.timers
    assert not told


def test_a_batch_that_hangs_is_seen_though_others_go_on() -> None:
    clock, watch, told = watching(silent_s=lambda clock: clock.now - 103 if clock.now < 130 else 0.0)
    watch.enter()
    for _ in range(12):
        clock.wait(1)
        watch.news()
    assert (watch.trouble, told) == (None, [])
    clock.wait(1)
    assert told == ["model 'm': a batch of its engine has made no step for 10 s"]
    watch.news()
    assert watch.trouble == told[0], "a step of another batch"
    watch.leave()
    assert watch.trouble == told[0]
    clock.wait(17)
    assert watch.trouble is None, "nobody waits, and it goes on again"
    watch.enter()
    clock.wait(9.9)
    assert len(told) == 1
    clock.wait(0.1)
    assert len(told) == 2, "nothing comes at all"


def test_a_batch_that_has_hung_for_long_is_seen_by_the_next_who_waits() -> None:
    clock, watch, told = watching(silent_s=lambda clock: clock.now - 100)
    clock.wait(50)
    assert not told
    watch.enter()
    clock.wait(0)
    assert told
