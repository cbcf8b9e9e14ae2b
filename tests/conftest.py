"""Fixtures of all tests."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import every_error

settings.register_profile("default", deadline=None)
settings.register_profile("long", deadline=None, max_examples=5000)  # pytest --hypothesis-profile long
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session", autouse=True)
def _watched_clients() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        every_error.watch(patch)
        yield


@pytest.fixture(autouse=True)
def _every_error_is_openais() -> Iterator[None]:
    yield
    every_error.judge()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"{every_error.seen} errors were held against OpenAI's schema.")


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`zoo(name)` is the folder of a tiny model of that family (see `tests/zoo`), made at its first use."""
    root = tmp_path_factory.getbasetemp() / "zoo"

    def folder(name: str) -> Path:
        # Imported here: it brings torch and transformers, which most tests do without.
        from .zoo import build

        return build(name, root)

    return folder
