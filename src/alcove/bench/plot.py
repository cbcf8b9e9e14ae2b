"""Levels -> a picture of latency and throughput against load. Called by `cli/bench.py`; needs the extra `bench`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alcove.bench.measured import Level, Spread
from alcove.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _ORANGE, _GREEN = "#3366cc", "#d95f0e", "#2a8c55"


def check(path: Path) -> None:
    """Raise `ConfigurationError` when `plot` could not write this file; to be known before the load, not after."""
    if path.suffix not in {".svg", ".png"}:
        raise ConfigurationError(f"--plot: {path}: should end in .svg or .png")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ConfigurationError("--plot needs matplotlib: pip install 'alcove[bench]'") from None


def plot(levels: Sequence[Level], title: str, path: Path) -> None:
    """Write the picture, in the format of the path's suffix."""
    from matplotlib.figure import Figure

    loads = [level.load.clients or level.load.rate or 0 for level in levels]
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    times, amounts = figure.subplots(1, 2)
    _percentiles(times, loads, [level.latency_s for level in levels], "whole answer", _BLUE)
    _percentiles(times, loads, [level.first_token_s for level in levels], "first token", _ORANGE)
    times.set_yscale("log")
    times.yaxis.set_major_formatter("{x:g}")
    times.set_ylabel("seconds")
    times.set_title("Latency")
    amounts.plot(loads, [level.tokens_per_s for level in levels], color=_GREEN, marker="o")
    amounts.set_ylim(bottom=0)
    amounts.set_ylabel("output tokens a second")
    amounts.set_title("Throughput")
    for axes in (times, amounts):
        axes.set_xlabel("clients" if levels[0].load.clients else "arrivals a second")
        axes.set_xticks(loads, [f"{load:g}" for load in loads])
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=160)


def _percentiles(axes: "Axes", loads: Sequence[float], found: Sequence[Spread | None], name: str, color: str) -> None:
    known = [(load, spread) for load, spread in zip(loads, found, strict=True) if spread is not None]
    if not known:
        return
    at = [load for load, _ in known]
    axes.plot(at, [spread.p50 for _, spread in known], color=color, marker="o", label=f"{name}, p50")
    axes.plot(
        at,
        [spread.p95 for _, spread in known],
        color=color,
        marker="o",
        linestyle="--",
        alpha=0.6,
        label=f"{name}, p95",
    )
