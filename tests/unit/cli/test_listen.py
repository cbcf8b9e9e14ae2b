import socket

import pytest

from alcove.cli.listen import bind, url
from alcove.errors import ConfigurationError


def test_a_free_port_the_same_for_every_address() -> None:
    sockets = bind("localhost", 0)
    try:
        assert len({listener.getsockname()[1] for listener in sockets}) == 1
        assert all(listener.getsockname()[1] > 0 for listener in sockets)
    finally:
        for listener in sockets:
            listener.close()


def test_clients_are_refused_until_the_server_listens() -> None:
    (listener,) = bind("127.0.0.1", 0)
    with listener, pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.getsockname(), timeout=5)


def test_url() -> None:
    (listener,) = bind("127.0.0.1", 0)
    with listener:
        assert url([listener]) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigurationError, match=rf"^cannot listen on 127.0.0.1, port {port}: address already in use"
        ):
            bind("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("203.0.113.1", "cannot listen on 203.0.113.1, port 8000: .*: choose another with --host"),
        ("256.0.0.1", "server.host: 256.0.0.1: "),
    ],
)
def test_no_such_address(host: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        bind(host, 8000)
