"""When an engine counts as hung."""

from alcove.pipeline.watch import Watch
from tests.unit.pipeline.virtual import Clock


def watching(limit_s: float = 10.0) -> tuple[Clock, Watch, list[str]]:
    clock, told = Clock(), list[str]()
    return clock, Watch("m", limit_s, clock.loop, told.append), told


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
