"""Figures -> docs/benchmarks.md, with the machine, the versions and the command that made them."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

REPORT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
LIBRARIES = ("alcove", "ctranslate2", "fastapi", "uvicorn", "tokenizers", "torch", "transformers")


def write_report(
    starts: Mapping[str, float], direct: Mapping[int, float], served: Mapping[int, float], memory: Mapping[str, float]
) -> Path:
    """Write the page and return its path."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench`; run it to have the figures of your machine. Only ratios within one run mean anything.",
        "",
        f"Machine: {len(os.sched_getaffinity(0))} cores, {platform.machine()}, Python {platform.python_version()}. "
        f"Versions: {', '.join(f'{library} {version(library)}' for library in LIBRARIES)}.",
        "",
        "## Start",
        "",
        "| | seconds (median) |",
        "|---|---|",
        *(f"| {name} | {seconds:.2f} |" for name, seconds in starts.items()),
        "",
        "## Through HTTP against the engine alone",
        "",
        "T5 of 60M parameters, int8, random weights; sources of 70 tokens, 64 new tokens; the clients run on the same",
        "machine. CTranslate2 is called directly with the same number of sources at once, on one worker or two,",
        "whichever is better.",
        "",
        "| clients | CTranslate2 alone, tokens/s | alcove over HTTP, tokens/s | ratio |",
        "|---|---|---|---|",
        *(f"| {n} | {direct[n]:,.0f} | {served[n]:,.0f} | {served[n] / direct[n]:.2f} |" for n in direct),
        "",
        "## Kept in memory",
        "",
        "One answer of 8 tokens of the same model, by CTranslate2 alone.",
        "",
        "| | seconds (median) |",
        "|---|---|",
        *(f"| {name} | {seconds:.3f} |" for name, seconds in memory.items()),
        "",
    ]
    REPORT.write_text("\n".join(lines))
    return REPORT
