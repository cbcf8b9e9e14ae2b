"""`make bench`: measures alcove on this machine and writes docs/benchmarks.md.

Every figure that is compared is compared within this one run, as a ratio: machines differ, and so do their hours.
"""

import asyncio
import tempfile
from pathlib import Path

from rich.console import Console

from tests.bench import cases
from tests.bench.models import t5_60m
from tests.bench.report import write_report
from tests.serving import running

CLIENTS = (1, 8, 32)


def main() -> None:
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        with console.status("Timing the command line and the start"):
            starts = cases.starts(root)
        with console.status("Making a T5 of 60M parameters (random weights, int8)"):
            model = t5_60m(root)
        with console.status("CTranslate2 called directly"):
            direct = {clients: cases.direct(model, clients) for clients in CLIENTS}
        with console.status("The same through alcove"), running("serve", str(model), cwd=root) as server:
            served = {clients: asyncio.run(cases.served(server.url, clients)) for clients in CLIENTS}
        with console.status("In memory against loaded at each request"):
            memory = cases.kept_or_loaded(model)
    path = write_report(starts, direct, served, memory)
    console.print(f"Wrote {path}")


if __name__ == "__main__":
    main()
