"""All cases, by name, in the order of the page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.bench.cases import echo, first_token, gaps, kept, loading, memory, start, throughput
from tests.bench.figures import Row, Theme
from tests.bench.setting import Setting


@dataclass(frozen=True, slots=True)
class Case:
    """Something to be measured, and the table that it goes into."""

    theme: Theme
    measure: Callable[[Setting], list[Row]]


CASES: Mapping[str, Case] = {
    "t5-223m": Case(throughput.THEME, throughput.t5_223m),
    "t5-60m": Case(throughput.THEME, throughput.t5_60m),
    "llama-125m": Case(throughput.THEME, throughput.llama_125m),
    "transformers-t5": Case(throughput.THEME, throughput.transformers_t5),
    "transformers-llama": Case(throughput.THEME, throughput.transformers_llama),
    "poisson": Case(first_token.THEME, first_token.closed_batches),
    "poisson-continuous": Case(first_token.THEME, first_token.continuous_batching),
    "gaps": Case(gaps.THEME, gaps.gaps),
    "echo": Case(echo.THEME, echo.echo),
    "memory": Case(memory.THEME, memory.memory),
    "loading": Case(loading.THEME, loading.loading),
    "start": Case(start.THEME, start.start),
    "kept": Case(kept.THEME, kept.kept),
}
SLOW = {"transformers-llama", "poisson-continuous"}
"""Cases that a quick run leaves out."""
