"""What no file of the package may use, because it has let attackers in elsewhere: ruff refuses most of it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFUSED = {
    "import pickle": "TID251",
    "import marshal": "TID251",
    "import shelve": "TID251",
    "from starlette.middleware.base import BaseHTTPMiddleware": "TID251",
    "import starlette.middleware.base": "TID251",
    "import jinja2\njinja2.Environment()": "TID251",
    "from jinja2 import Environment": "TID251",
    "from jinja2.sandbox import SandboxedEnvironment": "TID251",
    "import pickle\npickle.loads(b'')": "S301",
    "import yaml\nyaml.load('')": "S506",
    "eval('1')": "S307",
    "exec('1')": "S102",
    "import subprocess\nsubprocess.run('ls', shell=True)": "S602",
    "import os\nos.system('ls')": "S605",
}


@pytest.mark.parametrize("code", REFUSED)
def test_ruff_refuses(code: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--output-format", "concise", "--stdin-filename"]
    done = subprocess.run(
        [*command, "src/alcove/server/made_up.py", "-"], cwd=ROOT, input=code, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert f" {REFUSED[code]} " in done.stdout


def paths_of_urls(source: str) -> Iterator[int]:
    """The lines with `.url.path`: Starlette makes a request's URL of its Host header, so that a client decides what
    this path is, and the router looks at another (`scope["path"]`)."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr="path", value=ast.Attribute(attr="url")):
                yield node.lineno


def test_no_path_comes_from_a_url() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}: decide on request.scope['path']"
        for file in sorted((ROOT / "src" / "alcove").rglob("*.py"))
        for line in paths_of_urls(file.read_text())
    ]
    assert not found
    assert list(paths_of_urls("if request\\\n.url.path == '/health':\n    pass")) == [1]
