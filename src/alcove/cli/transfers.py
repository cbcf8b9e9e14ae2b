"""How pulls and conversions go on, on standard error: bars on a terminal, a line for each part elsewhere.

`watching()` gives what the store takes for a `Watcher`; used by `alcove pull`, `convert` and `verify`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from alcove.store.progress import Count, Watcher

EVERY_S = 10.0
"""Seconds between two lines about the same part, where there is no terminal."""


@contextmanager
def watching() -> Iterator[Watcher]:
    """What shows the work for as long as the block lasts."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    counted = (_Bytes(), _Speed())
    with Progress(*columns, *counted, console=console) as progress:
        yield _Bars(progress)


class _Bytes(DownloadColumn):
    def render(self, task: Task) -> Text:
        """Nothing where nobody knows how many there are."""
        return Text() if task.total is None else super().render(task)


class _Speed(TransferSpeedColumn):
    def render(self, task: Task) -> Text:
        """Nothing likewise."""
        return Text() if task.total is None else super().render(task)


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def part(self, what: str, total: int | None = None, done: int = 0) -> Iterator[Count]:
        """A bar; one that only moves to and fro where the total is not known. It goes when the part is over."""
        task = self._progress.add_task(what, total=total, completed=done)
        try:
            yield lambda count: self._progress.advance(task, count)
        finally:
            self._progress.remove_task(task)

    def says(self, line: str) -> None:
        """A line above the bars."""
        self._progress.console.print(line, markup=False, soft_wrap=True)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def part(self, what: str, total: int | None = None, done: int = 0) -> Iterator[Count]:
        """A line when the part begins, and one now and then that says how far it is."""
        self.says(f"{what} ..." if not done else f"{what}, {_percent(done, total)} of it there already ...")
        told = time.monotonic()

        def count(number: int) -> None:
            nonlocal done, told
            done += number
            if total and time.monotonic() - told >= EVERY_S:
                told = time.monotonic()
                self.says(f"{what}: {_percent(done, total)}")

        yield count

    def says(self, line: str) -> None:
        """A line."""
        self._console.print(line, markup=False, soft_wrap=True)


def _percent(done: int, total: int | None) -> str:
    return f"{100 * done // total if total else 0} %"
