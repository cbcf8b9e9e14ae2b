"""Fixtures of all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`zoo(name)` is the folder of a tiny model of that family (see `tests/zoo`), made at its first use."""
    root = tmp_path_factory.getbasetemp() / "zoo"

    def folder(name: str) -> Path:
        # Imported here: it brings torch and transformers, which most tests do without.
        from .zoo import build

        return build(name, root)

    return folder
