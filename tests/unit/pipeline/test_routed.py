"""Two engines of one model: which of them has a request."""

from collections.abc import Sequence
from typing import Any

import pytest

from alcove.engines.base import Capabilities, Sink
from alcove.errors import Overloaded
from alcove.pipeline.routed import Routed
from alcove.runs import Run


class Noted:
    """An engine that writes down what it is asked, and takes runs of one token."""

    def __init__(self, notes: list[Any], name: str) -> None:
        self._notes = notes
        self._name = name
        self.capabilities = Capabilities(engine=name, options={})

    def takes(self, run: Run) -> bool:
        return run.max_new_tokens == 1

    def check(self, run: Run) -> None:
        self._notes.append((self._name, "check", run.id))

    def submit(self, runs: Sequence[Run], sink: Sink) -> None:
        if runs[0].id == "full":
            raise Overloaded(self._name)
        self._notes.append((self._name, *(run.id for run in runs)))

    def cancel(self, run_id: str) -> None:
        self._notes.append((self._name, "cancel", run_id))

    def close(self) -> None:
        self._notes.append((self._name, "close"))


def test_a_request_goes_whole_to_the_engine_that_takes_all_of_it() -> None:
    notes: list[Any] = []
    both = Routed(Noted(notes, "first"), Noted(notes, "second"))
    one, two = (Run(id=name, tokens=(5,), max_new_tokens=n) for n, name in enumerate(("one", "two"), 1))
    assert both.capabilities.engine == "second"
    both.check(one)
    both.check(two)
    both.submit([one], list)
    both.submit([two], list)
    both.submit([one, two], list)
    both.cancel("one")
    both.close()
    assert notes == [
        *(("first", "check", "one"), ("second", "check", "two")),
        *(("first", "one"), ("second", "two"), ("second", "one", "two")),
        *(("first", "cancel", "one"), ("second", "cancel", "one")),
        *(("first", "close"), ("second", "close")),
    ]
    with pytest.raises(Overloaded, match="first"):
        both.submit([Run(id="full", tokens=(5,), max_new_tokens=1)], list)
