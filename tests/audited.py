"""`python -m tests.audited REPORT serve ...`: alcove, and every file, connection and process that it opens.

Each line of the file REPORT is JSON: the audit event's name, and what was opened.
"""

import json
import os
import sys
from typing import Any

WATCHED = frozenset(
    {"open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "os.exec", "os.posix_spawn", "os.fork"}
    | {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen", "urllib.Request"}
)


def watch(report: int) -> None:
    """From here on, for the rest of the process."""

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event in WATCHED:
            os.write(report, json.dumps([event, [str(argument)[:200] for argument in arguments[:2]]]).encode() + b"\n")

    sys.addaudithook(note)


if __name__ == "__main__":
    watch(os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    from alcove.__main__ import main

    main()
