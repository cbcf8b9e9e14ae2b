"""Writes docs/observability.md, with the table of all metrics: `python -m tools.observability_page`.

Made from the metrics' own definitions; a test holds the page to what this makes.
"""

from collections.abc import Iterator
from pathlib import Path

from alcove.metrics.definitions import DEFINITIONS, Definition
from alcove.server.error_codes import CODES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "observability.md"
HEAD = Path(__file__).parent / "observability_page_head.md"


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD.read_text().rstrip(), "", *_table(), *_rest()]) + "\n"


def _table() -> Iterator[str]:
    yield from ("| Metric | Kind | Labels | Meaning |", "|---|---|---|---|")
    for definition in DEFINITIONS.values():
        labels = ", ".join(f"`{label}`" for label in definition.labels) or "-"
        yield f"| `{_shown(definition)}` | {definition.kind} | {labels} | {definition.meaning} |"


def _shown(definition: Definition) -> str:
    return definition.name + "_total" * (definition.kind == "counter")


def _rest() -> Iterator[str]:
    yield ""
    yield (
        "Beside them are prometheus-client's standard ones of the process (`process_resident_memory_bytes`, "
        "`process_cpu_seconds_total`, `process_open_fds`) and of Python (`python_gc_...`)."
    )
    yield ""
    yield f"`code` is one of {', '.join(f'`{code}`' for code in sorted(CODES))}, `other`, or empty."


if __name__ == "__main__":
    PAGE.write_text(page())
