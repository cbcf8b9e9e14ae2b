"""What is wrong -> lines on standard error and an exit code. Called by `cli/commands` and by the commands that find
several things at once."""

import os
import sys
from collections.abc import Iterable
from typing import NoReturn

EXIT_CONFIGURATION = 2
"""A setting, an option or a name is wrong."""
EXIT_MODEL = 3
"""A model cannot be fetched, loaded or trusted."""


def fail(messages: Iterable[str], code: int) -> NoReturn:
    """Say each message in a line of its own, and exit."""
    name = "\033[31malcove:\033[0m" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else "alcove:"
    for message in messages:
        print(name, message, file=sys.stderr)  # noqa: T201 - the one place that tells a person of an error
    sys.exit(code)
