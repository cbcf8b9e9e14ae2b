"""One server for all conformance tests: the echo engine, whose answer is the prompt, so that every text is known."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import alcove
from tests.serving import Server, running

ECHO = Path(alcove.__file__).parent / "builtin" / "echo"
CONFIGURATION = """
[[model]]
name = "echo"
source = "builtin:echo"
engine = "echo"
aliases = ["org/echo"]
default = true

[[model]]
name = "translator"
source = "./translator"
engine = "echo"

[[model]]
name = "frugal"
source = "builtin:echo"
engine = "echo"
max_request_tokens = 640

[[model]]
name = "templated"
source = "builtin:echo"
engine = "echo"
prompt.chat_template = "{{ mood | default('') }}{% for m in messages %}<{{ m.content }}>{% endfor %}"

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
    shutil.copytree(ECHO, folder / "translator")
    config = {"model_type": "echo", "is_encoder_decoder": True, "max_position_embeddings": 1024}
    (folder / "translator" / "config.json").write_text(json.dumps(config))
    with running("serve", cwd=folder) as server:
        yield server
