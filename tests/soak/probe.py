"""Asks `/health/live` over and over, in a process of its own: `python -m tests.soak.probe PORT`.

It prints the milliseconds of each answer, a line each, until it is ended.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

from tests.soak.watched import REPOSITORY

INTERVAL_S = 0.03


@contextmanager
def probing(port: int) -> Iterator[list[float]]:
    """Seconds that each answer took, known when the block has ended. A probe that fails raises then."""
    command = [sys.executable, "-m", "tests.soak.probe", str(port)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    latencies: list[float] = []
    try:
        yield latencies
        out, _ = process.communicate("")  # the end of its input is the end of its work
        if process.returncode:
            raise RuntimeError("the probe got no answer")
        latencies += [float(line) / 1000 for line in out.split()]
    finally:
        process.kill()
        process.wait()


def _probe(port: int) -> None:
    from threading import Thread

    over = Thread(target=sys.stdin.read, daemon=True)
    over.start()
    times = []
    while over.is_alive():
        begun = time.perf_counter()
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/health/live")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert answer.status == 200, answer.status
        times.append(time.perf_counter() - begun)
        time.sleep(INTERVAL_S)
    print(*(f"{1000 * seconds:.3f}" for seconds in times), sep="\n")


if __name__ == "__main__":
    _probe(int(sys.argv[1]))
