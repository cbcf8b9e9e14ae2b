"""Rows -> docs/benchmarks.md, with the machine, the versions and the commands that made them; or a table to look at."""

import os
import platform
import re
import textwrap
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import psutil
from rich.table import Table

from tests.bench.cases import CASES
from tests.bench.figures import Row, Theme

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
LIBRARIES = ("alcove", "ctranslate2", "fastapi", "uvicorn", "uvloop", "tokenizers", "torch", "transformers")


def write_page(found: Mapping[str, Sequence[Row]], minutes: float) -> Path:
    """Write the page and return its path."""
    rows = [row for some in found.values() for row in some]
    barred = [row for row in rows if row.bar is not None]
    met = sum(row.verdict == "met" for row in barred)
    memory = psutil.virtual_memory().total / 2**30
    lines = [
        "# Benchmarks",
        "",
        *_wrapped(
            f"Made by `make bench` in {minutes:.0f} minutes; run it to have the figures of your machine. Server, "
            "clients and engine share its cores, and every ratio is of figures of one run: machines differ, and so do "
            f"their hours. A bar is what we want of alcove; {met} of {len(barred)} are met here."
        ),
        "",
        *_wrapped(
            f"Machine: {len(os.sched_getaffinity(0))} cores, {platform.machine()}, {memory:.0f} GiB, "
            f"{platform.system()}, Python {platform.python_version()}. "
            f"Versions: {', '.join(f'{library} {version(library)}' for library in LIBRARIES)}. Models: the shapes of "
            "T5 v1.1 and Llama with random weights, which never end an answer (tests/bench/models.py)."
        ),
        "",
        "```sh",
        "make bench                                        # everything; writes this page",
        "python -m tests.bench --quick                     # fewer and shorter runs; prints them only",
        "python -m tests.bench t5-60m gaps --models DIR    # some cases, with models kept in DIR; prints them only",
        "```",
        "",
        *_wrapped(f"Cases: {', '.join(CASES)}."),
    ]
    for theme, some in _by_theme(found).items():
        lines += ["", f"## {theme.title}", "", *_table(theme, some), "", *_wrapped(theme.how)]
        if theme.causes:
            lines += ["", *_wrapped(theme.causes)]
    PAGE.write_text("\n".join(lines) + "\n")
    return PAGE


def tables(found: Mapping[str, Sequence[Row]]) -> list[Table]:
    """The same for a terminal."""
    made = []
    for theme, rows in _by_theme(found).items():
        table = Table(*_headings(theme), title=theme.title, title_justify="left")
        for row in rows:
            table.add_row(*(re.sub(r"</?sub>|\*\*", "", cell) for cell in _cells(row)))
        made.append(table)
    return made


def _by_theme(found: Mapping[str, Sequence[Row]]) -> dict[Theme, list[Row]]:
    themes: dict[Theme, list[Row]] = {}
    for name, rows in found.items():
        themes.setdefault(CASES[name].theme, []).extend(rows)
    return themes


def _table(theme: Theme, rows: Sequence[Row]) -> list[str]:
    headings = _headings(theme)
    return [_line(headings), "|---" * len(headings) + "|", *(_line(_cells(row)) for row in rows)]


def _headings(theme: Theme) -> list[str]:
    return ["", theme.figure, "bar", "", *theme.beside]


def _cells(row: Row) -> list[str]:
    return [row.what, row.shown, str(row.bar or ""), row.verdict, *row.beside]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)
