"""How a long measurement goes on, on standard error: a bar on a terminal, a line for each part elsewhere.

Given to `bench/run.py` and `bench/tune.py` by `cli/bench.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from alcove.bench.measured import Level


class Watched:
    """Shows the parts of a run as they begin, go on and end."""

    def __init__(self, progress: Progress | None, console: Console) -> None:
        self._progress = progress
        self._console = console

    def begins(self, what: str, requests: int) -> Callable[[], None]:
        """A part begins; what is returned counts its answers."""
        progress = self._progress
        if progress is None:
            return lambda: None
        task = progress.add_task(what, total=requests)
        return lambda: progress.advance(task)

    def ended(self, what: str, level: Level) -> None:
        """A part is over; the bar has said so already."""
        if self._progress is None:
            failed = f", {level.failures.total()} failed" if level.failures else ""
            self._line(f"{what}: {len(level.outcomes)} requests in {level.span_s:.1f} s{failed}")

    def says(self, line: str) -> None:
        """A line of its own."""
        self._line(line)

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


@contextmanager
def watched() -> Iterator[Watched]:
    """What shows a run as long as the block lasts."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield Watched(None, console)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Drawn twice a second only: the bar shares the machine with what is measured.
    with Progress(*columns, console=console, refresh_per_second=2) as progress:
        yield Watched(progress, console)
