"""`make soak`, or `python -m tests.soak [P1 ...] [--minutes N] [--short]`: tries whether alcove keeps its promises.

All are tried when none is named, and the section of docs/reliability.md is written unless the run was short. The exit
code is 1 when one is not kept.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.bench.figures import Row
from tests.soak.promises import PROMISES
from tests.soak.report import tables, write_page
from tests.soak.setting import Form, Setting

OTHERS_MINUTES, FULL_MINUTES = 8, 60
"""What the eight others take when they are scaled, and from when on all are tried in full."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Try whether alcove keeps its promises.")
    parser.add_argument("promises", nargs="*", metavar="PROMISE", help=f"only these: {', '.join(PROMISES)}")
    parser.add_argument(
        "--minutes",
        type=float,
        default=10,
        metavar="N",
        help=f"about N minutes in all (10); from {FULL_MINUTES} on P8 alone takes so long, and the others are in full",
    )
    parser.add_argument("--short", action="store_true", help="as `make test` does it, in about a minute")
    asked = parser.parse_args()
    if unknown := [name for name in asked.promises if name not in PROMISES]:
        parser.error(f"there is no promise {', '.join(unknown)}; there are {', '.join(PROMISES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers and probes end, too
    form: Form = "short" if asked.short else "full" if asked.minutes >= FULL_MINUTES else "scaled"
    minutes = asked.minutes if form == "full" else max(asked.minutes - OTHERS_MINUTES, 1)
    begun = time.monotonic()
    found = try_all(asked.promises or list(PROMISES), form, soak_s=60 * minutes)
    if not asked.promises and form != "short":
        path = write_page(found, form, (time.monotonic() - begun) / 60)
        Console(stderr=True).print(f"Wrote {path}")
    out = Console(width=None if Console().is_terminal else 200)
    for table in tables(found):
        out.print(table)
    sys.exit(any("missed" in row.verdict for rows in found.values() for row in rows))


def try_all(names: Sequence[str], form: Form, soak_s: float) -> dict[str, list[Row]]:
    """The rows of each of these promises. What is being done is shown on stderr, drawn only when it changes: a display
    that moves by itself would take time from what is measured."""
    console = Console(stderr=True)
    columns = (BarColumn(20), TimeElapsedColumn(), TextColumn("{task.description}"))
    found = {}
    with Progress(*columns, console=console, auto_refresh=False, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(names))

        def say(what: str) -> None:
            progress.update(task, description=what, refresh=True)
            if not console.is_terminal:
                console.print(what, highlight=False)

        for name in names:
            with tempfile.TemporaryDirectory() as scratch:
                found[name] = PROMISES[name].measure(Setting(Path(scratch), form, say, soak_s))
            progress.advance(task)
            for row in found[name]:
                console.print(f"{name} {row.what}: {row.shown} {row.bar or ''} {row.verdict}", highlight=False)
    return found


if __name__ == "__main__":
    main()
