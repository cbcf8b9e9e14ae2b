"""A server and the engine it runs on, called directly, in turns -> the ratio of their tokens a second."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from statistics import median

from tests.bench.child import Child, child
from tests.bench.figures import Bar, Row, with_range
from tests.bench.served import Loaded, Served, configured, serving
from tests.bench.setting import Setting
from tests.bench.workload import body, in_turns, texts

BESIDE = (
    "against, tokens/s",
    "alcove, tokens/s",
    "wrong texts",
    "CPU: clients, server",
    "the engine at its best",
    "its wrong texts",
)


@dataclass(frozen=True, slots=True)
class Rival:
    """Both, ready to be measured."""

    setting: Setting
    name: str
    alone: Child
    served: Served
    pool: Sequence[str]

    def learn(self, count: int) -> None:
        """Have so many prompts of the pool answered alone, by the server."""
        self.setting.say(f"{self.name}: {count} requests alone, for their texts")
        self.served.alone([body(text) for text in self.pool[:count]])

    def compare(
        self, clients: int, bars: Mapping[str, Bar | None], *, turns: int, rounds: int, trial: int, direct: int
    ) -> dict[str, tuple[Row, float]]:
        """A row for each of the ways in `bars`, `whole` and `streamed`, and alcove's tokens a second in it.

        `rounds` are requests a client; `direct` those of the engine alone, and `trial` the same in a trial of a plan.
        """
        about = f"{self.name}, {_clients(clients)}"
        self.setting.say(f"{about}: the best way to call the engine alone")
        plan = self.alone.ask("best", rows=clients, rounds=trial)
        alone: list[float] = []
        found: dict[str, list[Loaded]] = {way: [] for way in bars}
        for turn in range(turns):
            self.setting.say(f"{about}: turn {turn + 1}, the engine alone")
            alone.append(self.alone.ask("run", rows=clients, rounds=direct))
            for way in bars:
                self.setting.say(f"{about}: turn {turn + 1}, alcove, {way}")
                found[way].append(self._load(clients, rounds, streamed=way == "streamed"))
        if "streamed" in bars and not self.setting.quick:
            self.setting.say(f"{about}: the engine alone")
            alone.append(self.alone.ask("run", rows=clients, rounds=direct))
        texts = self.alone.ask("texts")
        other, known = self.served.other_texts({key.removesuffix(" </s>"): words for key, words in texts.items()})
        ends = (plan, f"{other} of {known}" if texts else "")
        return {way: self._row(f"{about}, {way}", way, bars[way], alone, found[way], ends) for way in bars}

    def _load(self, clients: int, rounds: int, *, streamed: bool) -> Loaded:
        requests = [body(text, streamed=streamed) for text in in_turns(self.pool, clients * rounds)]
        return self.served.closed(requests, clients=clients)

    def _row(
        self, what: str, way: str, bar: Bar | None, alone: list[float], found: list[Loaded], ends: tuple[str, ...]
    ) -> tuple[Row, float]:
        # whole answers follow the engine alone, streamed ones go before it
        neighbours = alone[1:] or alone if way == "streamed" else alone
        ratios = [loaded.tokens_per_s / other for loaded, other in zip(found, neighbours, strict=False)]
        speed = median(loaded.tokens_per_s for loaded in found)
        wrong, compared = sum(loaded.wrong for loaded in found), sum(loaded.compared for loaded in found)
        row = Row(
            what=what,
            value=median(ratios),
            shown=with_range(ratios, median(ratios)),
            bar=bar,
            beside=(f"{median(neighbours):,.0f}", f"{speed:,.0f}", f"{wrong} of {compared}", cpu(found), *ends),
        )
        return row, speed


@contextmanager
def rivals(
    setting: Setting,
    model: str,
    kind: str,
    name: str,
    pool: int,
    *,
    torch: bool = False,
    options: str = "",
    alone: Child | None = None,
) -> Iterator[Rival]:
    """Start both: on CTranslate2 with the model's int8 weights, or on transformers with float32. `options` are alcove's
    `engine_options`, as TOML; `alone` is the engine alone, if it runs already."""
    folders = setting.model(model)
    folder = str(folders.transformers if torch else folders.ctranslate2)
    module = "tests.bench.direct_transformers" if torch else "tests.bench.direct"
    what = configured(setting.scratch, folder, options) if options else folder
    setting.say(f"{name}: starting")
    with (
        nullcontext(alone) if alone else child(module, kind, folder) as engine,
        serving(what, scratch=setting.scratch, in_turns=torch) as served,
    ):
        yield Rival(setting, name, engine, served, texts(kind, pool))


def cpu(runs: Sequence[Loaded]) -> str:
    """CPU seconds of clients and server over the time that they were spent in."""
    clients, server = sum(run.level.load_cpu_s for run in runs), sum(run.server_cpu_s for run in runs)
    return f"{clients:.1f} s, {server:.1f} s in {sum(run.level.span_s for run in runs):.0f} s"


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"
