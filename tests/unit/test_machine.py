"""What the process measures of itself, and how far a container's limits are seen."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from alcove import machine
from alcove.machine import available_bytes, resident_bytes, usable_cores


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "10000 100000"}, 1),
        ({"cpu.max": "6400000 100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
    ],
)
def test_cores_are_those_of_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int
) -> None:
    _group(tmp_path, monkeypatch, files)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert usable_cores() == cores


@pytest.mark.parametrize("file", ["memory.max", "memory/memory.limit_in_bytes"])
def test_memory_is_that_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    _group(tmp_path, monkeypatch, {file: "1048576"})
    assert available_bytes() == 1_048_576
    (tmp_path / file).write_text("max\n")
    assert available_bytes() == psutil.virtual_memory().total


def _group(folder: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text + "\n")
    monkeypatch.setattr(machine, "_GROUP", folder)


def test_memory_is_measured_as_psutil_measures_it() -> None:
    assert abs(resident_bytes() - psutil.Process().memory_info().rss) < 4 * 2**20


def test_freed_memory_goes_back_to_the_system() -> None:
    """In a process of its own: this one may have enough from before."""
    script = """
from alcove.machine import resident_bytes, return_freed
before = resident_bytes()
kept = [bytes(50_000) for _ in range(2_000)]  # 100 MB, in pieces that the C library would keep
taken = resident_bytes()
kept.clear()
return_freed()
print(taken - before, resident_bytes() - before)
"""
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    taken, kept = map(int, ran.stdout.split())
    assert taken > 80 * 2**20
    assert kept < 20 * 2**20
