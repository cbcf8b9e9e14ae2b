"""The engine port: what the pipeline needs of an engine, and nothing more.

An engine that schedules itself implements `Engine`; one that runs closed batches implements `BatchEngine`, and
`pipeline/batcher.py` makes an `Engine` of it. Engines know token ids only; they do not know each other.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from alcove.runs import Run, Step

Sink = Callable[[Sequence[Step]], None]
"""Takes steps of any runs, in the order in which they were made. May be called from any thread; never blocks, never
raises. What is handed over in one call reaches the event loop in one hop: give it the news of all rows at once."""


class BatchSink(Protocol):
    """Takes the steps of a closed batch's runs."""

    def add(self, step: Step) -> bool:
        """Take a step in; True says that nobody wants more of its run, so that its row may end."""

    def flush(self) -> None:
        """Hand on what has been added: to be called when all rows have made their step."""


EXPECTED_TOKENS = 64
"""How long answers are taken to be that may be longer: most end by themselves."""


def steps_left(run: Run) -> int:
    """About how many tokens the run will still make: what `BatchEngine.cost` reckons with."""
    return min(run.max_new_tokens - len(run.made), EXPECTED_TOKENS)


class Nobody:
    """A `BatchSink` for a trial: wants nothing."""

    def add(self, step: Step) -> bool:
        """True: the row may end."""
        return True

    def flush(self) -> None:
        """Nothing has been kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an engine honours, as data: requests are checked against it, and the matrix in the docs is made of it."""

    engine: str
    """The engine's public name."""
    options: Mapping[str, str]
    """What is honoured for this model, and how, in a few words: names of fields of `Options`, keys of its `extra`, and
    `logprobs` and `prompt_logprobs`."""
    impossible: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Values of honoured options that the engine has not: `check` refuses them where they would have an effect."""


class Engine(Protocol):
    """An engine with a model in it, ready for runs."""

    @property
    def capabilities(self) -> Capabilities:
        """What the engine honours for this model."""

    @property
    def waiting(self) -> int:
        """Requests that have been submitted and of which a run has not begun."""

    @property
    def room(self) -> int | None:
        """How many more requests `submit` would take now: asked before a request is prepared, so that refusing costs
        little. None where only `submit` knows."""

    @property
    def silent_s(self) -> float:
        """Of all batches that run, the longest time in which one has made no step, in seconds; 0 when none runs, or
        where their steps all come together."""

    def check(self, run: Run) -> None:
        """Refuse what the engine could not do with this run: an id that the model lacks, options that do not go
        together. Called before the run is submitted, in the caller's thread; quick.

        Raises `InvalidRequest`, which names the field.
        """

    def submit(self, runs: Sequence[Run], sink: Sink) -> None:
        """Begin these runs, all or none. Returns at once; each run ends exactly once, by its steps.

        Raises `Overloaded` when there is no room for them, `ShuttingDown` after `close`.
        """

    def cancel(self, run_id: str) -> None:
        """Nobody wants more of this run: free its place as soon as the engine can. Unknown ids are ignored."""

    def close(self) -> None:
        """End all runs and release the model. Blocks until the engine has let go."""


class PartialEngine(Engine, Protocol):
    """An engine beside another one of the same model, for a part of the runs only."""

    def takes(self, run: Run) -> bool:
        """Whether this run is for it; the other one takes all. Quick."""


class BatchEngine(Protocol):
    """An engine that runs closed batches: what begins together is one call of the library below."""

    @property
    def capabilities(self) -> Capabilities:
        """What the engine honours for this model."""

    @property
    def workers(self) -> int:
        """How many batches may run at the same time, each in a thread of its own."""

    @property
    def cores(self) -> int:
        """How many of the processor's cores a running batch keeps busy; 0 where another device works."""

    def check(self, run: Run) -> None:
        """Refuse what the engine could not do with this run: an id that the model lacks, options that do not go
        together. Called before the run is submitted, in the caller's thread; quick.

        Raises `InvalidRequest`, which names the field.
        """

    def batch_key(self, run: Run) -> Hashable:
        """Runs with equal keys may share a batch."""

    def length(self, run: Run) -> int:
        """The run's length in the sense that runs of about equal ones go best together: tokens that are read before
        the first is made."""

    def cost(self, runs: Sequence[Run]) -> float:
        """About how long a batch of these runs would take, in any unit that is the same for all of this engine's
        batches. The batcher puts together what costs least a run."""

    def run(self, runs: Sequence[Run], sink: BatchSink) -> Sequence[Run]:
        """Run these, in the calling thread; each ends, or comes back with a longer `made` to go on in a later batch,
        in turns with those that have not begun. What is left in the sink is handed on when it returns. When it
        raises, the caller fails what has not ended."""

    def close(self) -> None:
        """Release the model; no batch is running any more."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The token strings of a tokenizer, by id: the only thing an engine learns of it.

    An id without a string (a hole in the table) is None.
    """

    source: tuple[str | None, ...]
    """Strings of the ids in `Run.tokens`."""
    target: tuple[str | None, ...]
    """Strings of the ids in `Run.prefix` and `Step.tokens`: the same table for most models."""
