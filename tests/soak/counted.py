"""alcove that tells at SIGUSR1 how many asyncio tasks it has: `python -m tests.soak.counted serve ...`.

It appends the number to the file `$COUNTED_TASKS`.
"""

import asyncio
import os
import signal
from typing import Any

from alcove.__main__ import main


def _tell(*_: Any) -> None:
    try:
        count = len(asyncio.all_tasks())
    except RuntimeError:  # between two turns of the loop, or before the first
        count = -1
    with open(os.environ["COUNTED_TASKS"], "a") as file:
        print(count, file=file)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _tell)
    main()
