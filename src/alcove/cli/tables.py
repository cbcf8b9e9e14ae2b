"""Rows of text -> a table on standard output, in which nothing is cut off. Called by the commands that show things."""

import sys
from collections.abc import Iterable

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNBOUNDED = 10_000


def show(titles: Iterable[str], rows: Iterable[tuple[str, ...]], faint: frozenset[int] = frozenset()) -> None:
    """Print a table; the rows numbered in `faint` are dimmed. A terminal folds what is too long for it, a file or
    a pipe gets a line for each row."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for number, row in enumerate(rows):
        table.add_row(*map(Text, row), style="dim" if number in faint else None)
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    console = Console(highlight=False, width=_UNBOUNDED)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())
