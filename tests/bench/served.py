"""A running alcove under load -> what its clients saw, what it cost, and whether the texts were right."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import uvloop

from alcove.bench.load import closed_loop, poisson
from alcove.bench.measured import Level, Outcome
from alcove.bench.run import first_model
from alcove.bench.server import Server
from tests.bench.steady import Piece, tokens_per_s
from tests.bench.workload import Body
from tests.serving import running


@dataclass(frozen=True, slots=True)
class Loaded:
    """One level of load."""

    level: Level
    tokens_per_s: float
    """While all clients were busy (see `steady.py`)."""
    server_cpu_s: float
    compared: int
    """Texts whose request had been asked alone."""
    wrong: int
    """Those that were not what they were alone, and requests that failed."""


class Served:
    """A server, from outside. Knows what each prompt is answered once it has been asked alone."""

    def __init__(self, url: str, pid: int, model: str = "", *, in_turns: bool = False) -> None:
        self._url = url
        self._server = Server.at(url)
        self._process = psutil.Process(pid)
        self._model = model or uvloop.run(first_model(self._server))
        self._in_turns = in_turns
        self._known: dict[str, list[str]] = {}

    def other_texts(self, answers: Mapping[str, list[str]]) -> tuple[int, int]:
        """How many of these answers, by prompt, are not what the server gave alone; and how many it knows."""
        known = [(self._known[prompt], words) for prompt, words in answers.items() if prompt in self._known]
        return sum(alone != words for alone, words in known), len(known)

    def of(self, model: str) -> "Served":
        """The same server, another model of it that answers the same."""
        other = Served(self._url, self._process.pid, model)
        other._known = self._known
        return other

    @property
    def resident_bytes(self) -> int:
        return int(self._process.memory_info().rss)

    def alone(self, requests: Sequence[Body]) -> Loaded:
        """Ask these one after the other, and know their answers from then on; shorter ones begin alike."""
        loaded = self.closed(requests, clients=1)
        for request, outcome in zip(requests, loaded.level.outcomes, strict=True):
            if outcome.error is None:
                words = outcome.text.split()
                known = self._known.setdefault(request["prompt"], words)
                self._known[request["prompt"]] = max(known, words, key=len)
        return loaded

    def closed(self, requests: Sequence[Body], *, clients: int, on_answer: Callable[[], None] | None = None) -> Loaded:
        """So many clients, each of which asks again as soon as it has its answer."""
        named = self._named(requests)
        load = partial(closed_loop, self._server, named, clients=clients, on_answer=on_answer)
        return self._measured(requests, lambda: uvloop.run(load()), clients)

    def arriving(self, requests: Sequence[Body], *, rate: float, seed: int = 0) -> Loaded:
        """Requests at random, so many a second on average."""
        load = partial(poisson, self._server, self._named(requests), rate=rate, seed=seed)
        return self._measured(requests, lambda: uvloop.run(load()), 1)

    def _named(self, requests: Sequence[Body]) -> list[Body]:
        return [{"model": self._model, **request} for request in requests]

    def _measured(self, requests: Sequence[Body], load: Callable[[], Level], clients: int) -> Loaded:
        before = self._process.cpu_times()
        level = load()
        after = self._process.cpu_times()
        if not level.answered:
            raise RuntimeError(f"no request was answered: {level.failures.most_common(1)}")
        pieces = [Piece(outcome.sent_at, outcome.ended_at, outcome.tokens) for outcome in level.outcomes]
        answered = [pair for pair in zip(requests, level.outcomes, strict=True) if pair[1].error is None]
        known = [(request, outcome) for request, outcome in answered if request["prompt"] in self._known]
        return Loaded(
            level=level,
            tokens_per_s=tokens_per_s(pieces, clients, in_turns=self._in_turns),
            server_cpu_s=after.user + after.system - before.user - before.system,
            compared=len(known),
            wrong=sum(not self._right(*pair) for pair in known) + level.failures.total(),
        )

    def _right(self, request: Body, outcome: Outcome) -> bool:
        """As long as was asked for, and what came alone as far as that went."""
        known, words = self._known[request["prompt"]], outcome.text.split()
        return outcome.tokens == request["max_tokens"] and known[: len(words)] == words[: len(known)]


def configured(scratch: Path, folder: str, options: str) -> str:
    """A configuration file that serves this folder with `engine_options`, as TOML."""
    file = scratch / "configured.toml"
    lines = ("[[model]]", 'name = "model"', f"source = {json.dumps(folder)}", f"engine_options = {options}", "")
    file.write_text("\n".join(lines))
    return str(file)


@contextmanager
def serving(
    *arguments: str, scratch: Path, module: str = "alcove", in_turns: bool = False, **environment: str
) -> Iterator[Served]:
    """`alcove serve ARGUMENTS` with its own defaults, for as long as it is needed; `in_turns` says that its batches run
    one after the other."""
    with running("serve", *arguments, cwd=scratch, module=module, environment=environment) as server:
        yield Served(server.url, server.process.pid, in_turns=in_turns)
