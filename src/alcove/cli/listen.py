"""Address and port -> bound sockets, and how many clients they can serve, before anything is loaded. Called by
`cli/serve.py`."""

import errno
import os
import resource
import socket
from collections.abc import Sequence

from alcove.errors import ConfigurationError

RESERVED_FILES = 64
"""Open files that are not connections: models, logs, listening sockets, the event loop's own."""
MOST_FILES = 65_536
"""A process that may open millions is not made to: some libraries go through all of them when they start a child."""


def bind(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of `host` (`localhost` has two), bound but not yet listening, so that clients are
    refused until the server is ready. Port 0 takes a free one, the same for all.

    Raises `ConfigurationError` when there is no such address, or the port is taken or not permitted.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationError(f"server.host: {host}: {(error.strerror or str(error)).lower()}") from None
    sockets: list[socket.socket] = []
    failures: list[OSError] = []
    for family, kind, protocol, _, address in dict.fromkeys(found):
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.set_inheritable(True)  # to the child of --reload
        try:
            listener.bind((address[0], port, *address[2:]))
        except OSError as error:
            listener.close()
            failures.append(error)
        else:
            sockets.append(listener)
            port = listener.getsockname()[1]
    # A machine without IPv6 may still have ::1 for localhost: that is no failure, unless nothing else is left.
    hard = [error for error in failures if error.errno != errno.EADDRNOTAVAIL or not sockets]
    if hard:
        for listener in sockets:
            listener.close()
        raise ConfigurationError(_explained(host, port, hard[0]))
    return sockets


def connection_limit(asked: int | None) -> int:
    """How many connections there may be at once: `asked`, or what the limit of open files leaves. A soft limit is
    raised as far as the hard one lets (a shell's is often 1,024).

    Raises `ConfigurationError` when `asked` needs more files than the process may open.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    files = max(soft, most)
    if asked is not None and asked > files - RESERVED_FILES:
        raise ConfigurationError(
            f"server.max_connections: {asked} need {asked + RESERVED_FILES} open files, and this process may open "
            f"{files}: ask for fewer, or raise its limit (ulimit -n, LimitNOFILE)"
        )
    return asked or max(min(files, MOST_FILES) - RESERVED_FILES, 1)


def url(sockets: Sequence[socket.socket]) -> str:
    """The address of the first socket, as a client writes it."""
    address, port = sockets[0].getsockname()[:2]
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _explained(host: str, port: int, error: OSError) -> str:
    reason = os.strerror(error.errno or 0).lower()
    remedy = {
        errno.EADDRINUSE: "; choose another with --port, or stop what listens there",
        errno.EACCES: "; ports below 1024 are for the system: choose another with --port",
        errno.EADDRNOTAVAIL: "; this machine has no such address: choose another with --host",
    }.get(error.errno or 0, "")
    return f"cannot listen on {host}, port {port}: {reason}{remedy}"
