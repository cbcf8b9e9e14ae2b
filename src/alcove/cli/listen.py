"""Address and port -> bound sockets, before anything is loaded. Called by `cli/serve.py`."""

import errno
import os
import socket
from collections.abc import Sequence

from alcove.errors import ConfigurationError


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
