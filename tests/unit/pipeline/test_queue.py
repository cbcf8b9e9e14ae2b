"""The batcher's policy: what goes together, and that nobody waits for ever; on a virtual clock."""

import heapq
from collections.abc import Hashable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from alcove.engines.base import BatchSink, Capabilities
from alcove.engines.ctranslate2.cost import cost as ctranslate2_cost
from alcove.pipeline.entries import Entry, Request
from alcove.pipeline.queue import Queue
from alcove.runs import Run


class Causal:
    """A `BatchEngine` that only says what goes well together, as CTranslate2 does of decoder-only models."""

    capabilities = Capabilities(engine="causal", options={})
    workers = 1

    def check(self, run: Run) -> None:
        """Nothing to refuse."""

    def batch_key(self, run: Run) -> Hashable:
        return run.tokens[0]

    def length(self, run: Run) -> int:
        return len(run.tokens)

    def cost(self, runs: Sequence[Run]) -> float:
        return ctranslate2_cost(runs, "causal")

    def run(self, runs: Sequence[Run], sink: BatchSink) -> Sequence[Run]:
        raise AssertionError("the queue runs nothing")

    def close(self) -> None:
        """Nothing to release."""


def queue(size: int = 32, tokens: int = 16_384) -> Queue:
    return Queue(Causal(), max_batch_size=size, max_batch_tokens=tokens)


def entry(name: str, length: int = 10, key: int = 0, new: int = 64) -> Entry:
    run = Run(id=name, tokens=(key,) * length, max_new_tokens=new)
    return Entry(run, key, length, lambda steps: None, Request(waiting=1), open_outputs=1)


def add(waiting: Queue, *entries: Entry) -> None:
    for one in entries:
        waiting.add([one])


def names(batch: Sequence[Entry]) -> list[str]:
    return [one.run.id for one in batch]


def test_long_prompts_keep_company_with_long_ones() -> None:
    waiting = queue()
    add(waiting, *(entry(f"{length}-{n}", length) for n in range(8) for length in (20, 900)))
    assert names(waiting.pick(16)) == [f"20-{n}" for n in range(8)]
    assert names(waiting.pick(16)) == [f"900-{n}" for n in range(8)]


def test_near_lengths_share_a_batch() -> None:
    waiting = queue()
    add(waiting, *(entry(f"{length}", length) for length in (30, 34, 160, 32)))
    assert names(waiting.pick(4)) == ["30", "32", "34"]


def test_the_oldest_is_in_the_next_batch_whatever_suits_better() -> None:
    waiting = queue()
    add(waiting, entry("odd", 700), *(entry(f"many-{n}") for n in range(20)))
    assert names(waiting.pick(32)) == ["odd"]


def test_a_share_and_the_limits_hold() -> None:
    waiting = queue(size=4, tokens=100)
    add(waiting, *(entry(f"{n}", 30) for n in range(9)))
    assert (len(waiting.pick(2)), len(waiting.pick(32)), len(waiting)) == (2, 3, 4)
    assert waiting.requests == 4


@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.integers(1, 300), st.integers(0, 3), st.integers(1, 128), st.integers(1, 4)),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_nobody_waits_for_more_than_two_batches_a_run_before_him(
    arrivals: list[tuple[float, int, int, int, int]], workers: int
) -> None:
    """Requests come with lengths, keys and limits of all kinds, and some runs must go on several times; workers take as
    long as the engine says. What begins, and when, is counted in batches since a run came."""
    waiting, now, batches = queue(), 0.0, 0
    coming = sorted(
        (at, n, entry(f"{n}", length, key, new), parts) for n, (at, length, key, new, parts) in enumerate(arrivals)
    )
    parts_left = {one.run.id: parts for _, _, one, parts in coming}
    allowed: dict[str, int] = {}
    busy: list[tuple[float, int, list[Entry]]] = []
    begun: list[str] = []
    while coming or busy or len(waiting):
        while len(waiting) and len(busy) < workers:
            batch = waiting.pick(32)
            batches += 1
            for one in batch:
                if one.run.id in allowed:
                    assert batches <= allowed.pop(one.run.id)
                    begun.append(one.run.id)
            took = Causal().cost([one.run for one in batch]) / 50
            heapq.heappush(busy, (now + took, batches, batch))
        ends = busy[0][0] if busy else float("inf")
        if coming and coming[0][0] <= ends:
            now, _, one, _ = coming.pop(0)
            allowed[one.run.id] = batches + 2 * (len(waiting) + 1)
            add(waiting, one)
        elif busy:
            now, _, batch = heapq.heappop(busy)
            for one in batch:
                parts_left[one.run.id] -= 1
                if parts_left[one.run.id]:
                    waiting.add_again(one)
    assert sorted(begun) == sorted(f"{n}" for n in range(len(arrivals)))
    assert waiting.requests == 0
