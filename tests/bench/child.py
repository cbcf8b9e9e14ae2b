"""A process that measures when it is asked: commands go in and results come out, a line of JSON each.

What an engine does alone is measured in such a process, which waits quietly while the server has its turn.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from tests.bench.setting import REPOSITORY


class Child:
    """The process, from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, command: str, **arguments: Any) -> Any:
        """Have it do something, and wait for the result."""
        assert self._process.stdin
        assert self._process.stdout
        answer = ""
        with suppress(BrokenPipeError):
            print(json.dumps([command, arguments]), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process that measures ended with {self._process.wait()}")
        return json.loads(answer)


@contextmanager
def child(module: str, *arguments: str) -> Iterator[Child]:
    """`python -m MODULE ARGUMENTS`, for as long as it is needed."""
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Child(process)
    finally:
        process.kill()
        process.wait()


def obey(commands: Mapping[str, Callable[..., Any]]) -> None:
    """The process, from inside: do what comes, until nothing more can."""
    for line in sys.stdin:
        command, arguments = json.loads(line)
        print(json.dumps(commands[command](**arguments)), flush=True)
