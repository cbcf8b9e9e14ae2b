"""Figures against numpy and by hand, and what is made of them: the table, the notes, the choice of workers."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcove.bench import report, tune_report
from alcove.bench.measured import Level, Load, Outcome, percentile, spread
from alcove.bench.run import Difference, Measured
from alcove.bench.tune import Trial, choose, pairs

TWO = Load(clients=2)
FINITE = st.floats(-1e9, 1e9)


@given(values=st.lists(FINITE, min_size=1), percent=st.floats(0, 100))
def test_percentiles_are_numpys(values: list[float], percent: float) -> None:
    expected = float(numpy.percentile(values, percent))
    assert percentile(sorted(values), percent) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_no_values_have_no_spread() -> None:
    assert spread([]) is None


def answered(sent: float, *times: float, tokens: int | None = 10, text: str = "x") -> Outcome:
    return Outcome(
        sent_at=sent, ended_at=times[-1], first_at=times[0], chunk_times=times, text=text, prompt_tokens=1,
        completion_tokens=tokens, error=None,
    )  # fmt: skip


def failed(sent: float, end: float, error: str) -> Outcome:
    return Outcome(
        sent_at=sent, ended_at=end, first_at=None, chunk_times=(), text="", prompt_tokens=None, completion_tokens=None,
        error=error,
    )  # fmt: skip


def level(*outcomes: Outcome, load: Load = TWO, cpu: float = 0.1) -> Level:
    return Level(load=load, outcomes=outcomes, load_cpu_s=cpu, reading_cpu_s=0.5)


def test_a_level_by_hand() -> None:
    found = level(answered(0, 1, 2, 3), answered(1, 4, 8, tokens=5), failed(0.5, 10, "gone"), failed(0.5, 9, "gone"))
    assert found.span_s == 10
    assert found.requests_per_s == 0.2
    assert found.completion_tokens == 15
    assert found.tokens_per_s == 1.5
    assert found.failures == {"gone": 2}
    assert found.first_token_s is not None
    assert found.first_token_s.p50 == 2
    assert found.gap_s is not None
    assert found.gap_s.p50 == 1
    assert found.latency_s is not None
    assert found.latency_s.p50 == 5
    assert (found.cpu_s, found.cpu_share) == (0.6, 0.01)


def test_what_a_person_is_told() -> None:
    busy = level(answered(0, 0.1, 1, tokens=None), failed(0, 1, "gone"), cpu=0.9)
    differences = tuple(Difference(0, {}, "the same words", "the other words") for _ in range(5))
    measured = Measured("m", level(answered(0, 1)), (busy,), differences)
    assert not measured.sound
    titles, rows = report.table(measured)
    cells = {name: cell.strip() for name, cell in rows}
    assert titles[1].strip() == "2 clients"
    assert cells["requests"] == "2"
    assert cells["failed"] == "1"
    assert cells["wrong texts"] == "5"
    assert cells["first token, p50 / p95"] == "100 ms / 100 ms"
    assert cells["CPU of this client"] == "1.40 s (90%)"
    assert list(report.notes(measured)) == [
        "2 clients: 1 failed: gone",
        "2 clients: this client used 90% of a core: it may be what limits the figures",
        *["2 clients: a text differs from the one alone, at character 4: 'the other words' for 'the same words'"] * 3,
        "2 more texts differ; --json has all of them",
        "the server does not count tokens: chunks are counted in their place",
    ]


@pytest.mark.parametrize(
    ("cores", "found"),
    [
        (1, [(1, 1)]),
        (2, [(1, 1), (1, 2), (2, 1)]),
        (4, [(1, 2), (1, 4), (2, 1), (2, 2), (4, 1)]),
        (6, [(1, 3), (1, 6), (2, 1), (2, 3), (3, 1), (3, 2), (4, 1), (6, 1)]),
    ],
)
def test_pairs(cores: int, found: list[tuple[int, int]]) -> None:
    assert pairs(cores) == found


def test_many_pairs_are_not_too_many() -> None:
    assert len(pairs(64)) == 13
    assert all(workers * threads <= 64 for workers, threads in pairs(64))


def trial(workers: int, threads: int, one: int, many: int) -> Trial:
    first = level(answered(0, 0.1, 1, tokens=one), load=Load(clients=1))
    return Trial(workers, threads, first, level(answered(0, 1, tokens=many), load=Load(clients=32)), ())


def test_the_best_for_many_if_one_loses_little() -> None:
    trials = [trial(1, 2, one=100, many=500), trial(2, 1, one=91, many=600), trial(1, 1, one=80, many=300)]
    advice = list(tune_report.advice(choose(trials)))
    assert advice[1:] == ["workers = 2", "threads = 1"]
    _, rows = tune_report.table(trials, choose(trials))
    assert [row[-1] for row in rows] == ["best for 1 client", "best for 32 clients", ""]


def test_both_if_one_loses_more() -> None:
    trials = [trial(1, 2, one=100, many=500), trial(2, 1, one=89, many=600)]
    lines = [line for line in tune_report.advice(choose(trials)) if "=" in line]
    assert lines == ["workers = 2", "threads = 1", "workers = 1", "threads = 2"]
