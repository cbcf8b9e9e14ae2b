"""Who must go to make room."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from alcove.pipeline.memory import in_words, who_goes


@dataclass(frozen=True)
class Model:
    bytes: int
    used_at: float


def test_those_who_have_been_idle_longest_go_first() -> None:
    old, older, fresh = Model(10, 2.0), Model(10, 1.0), Model(10, 3.0)
    assert who_goes(15, [fresh, old, older]) == [older, old]
    assert who_goes(10, [fresh, old, older]) == [older]
    assert who_goes(11, [fresh, old, older]) == [older, old]


def test_nobody_goes_when_there_is_room_and_none_in_vain() -> None:
    assert who_goes(0, [Model(10, 1.0)]) == []
    assert who_goes(11, [Model(10, 1.0)]) is None
    assert who_goes(1, []) is None


@given(
    st.lists(st.builds(Model, bytes=st.integers(0, 100), used_at=st.floats(0, 100)), max_size=8), st.integers(-50, 900)
)
def test_what_goes_is_enough_and_no_more(idle: list[Model], missing: int) -> None:
    going = who_goes(missing, idle)
    if going is None:
        assert sum(model.bytes for model in idle) < missing
        return
    freed = [model.bytes for model in going]
    assert sum(freed) >= missing
    assert not going or sum(freed[:-1]) < missing, "the last one was needed"
    kept = [model for model in idle if model not in going]
    assert all(model.used_at >= one.used_at for model in kept for one in going)


def test_sizes_are_told_in_the_unit_that_fits() -> None:
    assert in_words(310 * 2**20) == "310 MiB"
    assert in_words(5 * 2**29) == "2.5 GiB"
    assert in_words(2**30) == "1.0 GiB"
