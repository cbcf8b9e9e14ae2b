"""The child's process, as its parent sees it: started, spoken to, killed, and how it ended. Used by `engine.py`."""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress

from alcove.pipeline.isolated.link import Link, packed
from alcove.pipeline.isolated.messages import ToChild, ToParent

MODULE = "alcove.pipeline.isolated.child"
_GONE_S = 5.0
"""How long a process that has closed its socket may take to end, in seconds."""


class Process:
    """A child that has been started. It dies with the thread that started it (see `child.py`)."""

    def __init__(self, threads: int | None) -> None:
        """`threads`: those of one worker, where they are set."""
        ours, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", MODULE, str(its.fileno())],
                env=_environment(threads),
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                start_new_session=True,  # a terminal's Ctrl-C is for the server, which lets requests end
            )
        self.pid = self._process.pid
        self.link: Link[ToParent] = Link(ours, ToParent)
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._write, name="alcove-isolated-writer", daemon=True).start()

    def send(self, message: ToChild) -> None:
        """Say something; never blocks. Nothing happens when the child is gone."""
        self._outgoing.put(packed(message))

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def ended(self) -> str:
        """Wait for its end, and let go of it; returns how it ended, in words that follow on "the process"."""
        try:
            code = self._process.wait(_GONE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._outgoing.put(None)
        self.link.close()
        if code == -signal.SIGKILL:
            return "was ended by SIGKILL (by the system, where memory ran out)"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def _write(self) -> None:
        """A thread of its own: the event loop must not wait for a child that does not read."""
        with suppress(OSError):  # the child is gone; whoever reads finds out
            while (data := self._outgoing.get()) is not None:
                self.link.send(data)


def _environment(threads: int | None) -> dict[str, str]:
    """Ours, without what is the server's business (keys, for one), and with the same modules within reach."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALCOVE_")}
    kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    if threads is not None:  # libraries look at it when they are imported
        kept["OMP_NUM_THREADS"] = str(threads)
    return kept
