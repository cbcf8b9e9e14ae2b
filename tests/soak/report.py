"""Rows -> the section "The nine promises" of docs/reliability.md, between its two marks; or tables to look at."""

import os
import platform
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from rich.table import Table

from tests.bench.figures import Row
from tests.soak.promises import PROMISES
from tests.soak.setting import Form

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- written by make soak -->", "<!-- to here -->"
_HEADINGS = ("", "figure", "bar", "", "")


def write_page(found: Mapping[str, Sequence[Row]], form: Form, minutes: float) -> Path:
    """Write the section, in place of what stands there, and return the page's path."""
    page = PAGE.read_text() if PAGE.exists() else f"# Reliability\n\n{BEGIN}\n{END}\n"
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{section(found, form, minutes)}\n{END}{after}")
    return PAGE


def section(found: Mapping[str, Sequence[Row]], form: Form, minutes: float) -> str:
    """The text of the section."""
    barred = [row for rows in found.values() for row in rows if row.bar is not None]
    met = sum(row.verdict == "met" for row in barred)
    memory = psutil.virtual_memory().total / 2**30
    size = "all of them in full" if form == "full" else "the longest scaled down"
    lines = [
        "## The nine promises",
        "",
        *_wrapped(
            f"Made by `make soak` in {minutes:.0f} minutes, {size}, against the real server, with the clients on the "
            f"same machine: {len(os.sched_getaffinity(0))} cores, {platform.machine()}, {memory:.0f} GiB, "
            f"{platform.system()}, Python {platform.python_version()}. {met} of {len(barred)} bars are met here. "
            "`make test` has a short form of each (`tests/e2e/test_promises.py`), with the same bars, but for times "
            "and memory."
        ),
        "",
        "```sh",
        "make soak                        # ten minutes; writes this section",
        "make soak MINUTES=60             # all in full, P8 for an hour; writes it, too",
        "python -m tests.soak P2 P6       # some of them; prints them only",
        "```",
    ]
    for name, rows in found.items():
        promise = PROMISES[name]
        lines += ["", f"### {name}: {promise.title}", "", _line(_HEADINGS), "|---" * len(_HEADINGS) + "|"]
        lines += [_line(_cells(row)) for row in rows]
        lines += ["", *_wrapped(promise.how)]
    return "\n".join(lines)


def tables(found: Mapping[str, Sequence[Row]]) -> list[Table]:
    """The same for a terminal."""
    made = []
    for name, rows in found.items():
        table = Table(*_HEADINGS, title=f"{name}: {PROMISES[name].title}", title_justify="left")
        for row in rows:
            table.add_row(*(cell.replace("**", "") for cell in _cells(row)))
        made.append(table)
    return made


def _cells(row: Row) -> tuple[str, ...]:
    return (row.what, row.shown, str(row.bar or ""), row.verdict, " ".join(row.beside))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)
