import resource
import socket

import pytest

from alcove.cli.listen import bind, connection_limit, url
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


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The limit of open files, soft and hard, as the process sees and sets it; the last is the one that holds."""
    limits = [(1024, 4096)]
    monkeypatch.setattr("resource.getrlimit", lambda which: limits[-1])
    monkeypatch.setattr("resource.setrlimit", lambda which, pair: limits.append(pair))
    return limits


def test_connections_are_fewer_than_files(files: list[tuple[int, int]]) -> None:
    assert connection_limit(None) == 4096 - 64
    assert files[-1] == (4096, 4096), "the soft limit is raised"
    assert connection_limit(100) == 100
    with pytest.raises(ConfigurationError, match=r"^server\.max_connections: 5000 need 5064 open files, .* 4096: "):
        connection_limit(5000)


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ((64, 64), 1),
        ((128, 128), 64),
        ((1024, 1_000_000), 65_472),
        ((1024, resource.RLIM_INFINITY), 65_472),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 65_472),
        ((1_000_000, 1_000_000), 65_472),
    ],
)
def test_connections_under_other_limits(files: list[tuple[int, int]], limits: tuple[int, int], most: int) -> None:
    files.append(limits)
    assert connection_limit(None) == most
