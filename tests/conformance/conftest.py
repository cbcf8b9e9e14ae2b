"""One server for all conformance tests: the echo engine, whose answer is the prompt, so that every text is known."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import Server, running

CONFIGURATION = """
[[model]]
name = "echo"
source = "builtin:echo"
engine = "echo"
aliases = ["org/echo"]
default = true

[[model]]
name = "slow"
source = "builtin:echo"
engine = "echo"
engine_options = { delay_s = 0.05 }
max_queue = 1

[[model]]
name = "failing"
source = "builtin:echo"
engine = "echo"
engine_options = { fail_after = 0 }

[[model]]
name = "failing-late"
source = "builtin:echo"
engine = "echo"
engine_options = { fail_after = 3, delay_s = 0.02 }
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("echo")
    (folder / "alcove.toml").write_text(CONFIGURATION)
    with running("serve", cwd=folder) as server:
        yield server
