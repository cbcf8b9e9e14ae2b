"""`make bench`, or `python -m tests.bench [CASE ...] [--quick] [--models DIR]`: measures alcove on this machine.

Everything is measured when no case is named, and docs/benchmarks.md is written unless the run was quick. Every figure
that is compared is compared within this one run, as a ratio: machines differ, and so do their hours.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.bench.cases import CASES, SLOW
from tests.bench.figures import Row
from tests.bench.report import tables, write_page
from tests.bench.setting import Setting


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure alcove on this machine.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"only these: {', '.join(CASES)}")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer and shorter runs: about 4 minutes instead of 15, without the slowest two cases",
    )
    parser.add_argument("--models", type=Path, metavar="DIR", help="where the models are, or are made to be used again")
    asked = parser.parse_args()
    if unknown := [name for name in asked.cases if name not in CASES]:
        parser.error(f"there is no case {', '.join(unknown)}; the cases are {', '.join(CASES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers and children end, too
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        names = asked.cases or [name for name in CASES if not (asked.quick and name in SLOW)]
        found = measure(names, Path(scratch), asked.models, quick=asked.quick)
    if not asked.cases and not asked.quick:
        path = write_page(found, (time.monotonic() - begun) / 60)
        Console(stderr=True).print(f"Wrote {path}")
    out = Console(width=None if Console().is_terminal else 200)
    for table in tables(found):
        out.print(table)


def measure(names: list[str], scratch: Path, models: Path | None, *, quick: bool) -> dict[str, list[Row]]:
    """The rows of each of these cases. What is being done is shown on stderr, drawn only when it changes: a display
    that moves by itself would take time from what is measured."""
    console = Console(stderr=True)
    columns = (BarColumn(20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        task = progress.add_task("", total=len(names))

        def say(what: str) -> None:
            progress.update(task, description=what, refresh=True)
            if not console.is_terminal:
                console.print(what, highlight=False)

        setting = Setting(scratch, models or scratch / "models", quick, say)
        found = {}
        for name in names:
            found[name] = CASES[name].measure(setting)
            progress.advance(task)
            for row in found[name]:
                figure = row.shown.replace("<sub>", "(").replace("</sub>", ")")
                console.print(f"[bold]{row.what}[/]: {figure} {row.bar or ''} {row.verdict}", highlight=False)
    return found


if __name__ == "__main__":
    main()
