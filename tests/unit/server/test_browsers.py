"""Which names and which pages are answered: every pair of 18 Hosts and 9 Origins, with every method."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from alcove.config.access import LOCAL_NAMES
from alcove.server.access.browsers import Browsers

OWN_HOSTS = [
    "localhost", "localhost:8000", "LOCALHOST:8000", "localhost.", "127.0.0.1", "127.0.0.1:8000", "[::1]", "[::1]:8000",
    "alcove.localhost:8000", "served.example:8000", "a.wild.example",
]  # fmt: skip
FOREIGN_HOSTS = [
    "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "evil-localhost", "",
    "localhost/health?", "localhost#", "localhost:8000@evil.example", "evil@localhost", "0.0.0.0:8000", "127.1",
    "2130706433", "[::ffff:127.0.0.1]", "::1", "localhost:", "localhost:8000:1", "wild.example",
    "l\xf6calhost", "localhost evil",
]  # fmt: skip
LISTED = "https://chat.example"
FOREIGN_ORIGINS = [
    "https://evil.example", "http://localhost:3000", "null", "", "https://chat.example.evil", "http://chat.example",
    "file://", "https://chat.example, https://evil.example",
]  # fmt: skip
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


async def status(
    hosts: Sequence[str], origins: Sequence[str] = (), *, method: str = "GET", allowed: Sequence[str] = LOCAL_NAMES
) -> int:
    """Of the answer; 204 is that of the application behind."""
    sent: list[dict[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def receive() -> Any:
        raise AssertionError("the body is not read")

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", host.encode("latin-1")) for host in hosts] + [(b"origin", o.encode()) for o in origins]
    scope = {"type": "http", "method": method, "path": "/v1/models", "headers": headers}
    hosts_allowed = (*allowed, "served.example", "*.wild.example") if allowed else ()
    await Browsers(application, hosts=hosts_allowed, origins=[LISTED])(scope, receive, send)
    assert not any(name.startswith(b"access-control") for name, _ in sent[0]["headers"])
    return int(sent[0]["status"])


@pytest.mark.parametrize("method", METHODS)
async def test_names_and_origins(method: str) -> None:
    for host in OWN_HOSTS:
        assert await status([host], method=method) == 204, host
        for origin in (LISTED, f"http://{host}", f"https://{host}"):
            assert await status([host], [origin], method=method) == 204, (host, origin)
        for origin in FOREIGN_ORIGINS:
            assert await status([host], [origin], method=method) == 403, (host, origin)
    for host in FOREIGN_HOSTS:
        for origins in ([], [LISTED], [f"http://{host}"], *([origin] for origin in FOREIGN_ORIGINS if origin)):
            assert await status([host], [o.encode("ascii", "ignore").decode() for o in origins], method=method) == 403


async def test_two_of_a_header_are_none_that_is_known() -> None:
    assert await status(["localhost", "localhost"]) == 403
    assert await status(["localhost"], [LISTED, LISTED]) == 403


async def test_clients_that_name_no_host_are_no_browsers() -> None:
    assert await status([]) == 204


async def test_where_no_names_are_listed_only_preflights_are_refused() -> None:
    for host in ("other.example", "served.example"):
        assert await status([host], ["https://evil.example"], method="POST", allowed=()) == 204
        assert await status([host], ["https://evil.example"], method="OPTIONS", allowed=()) == 403


async def test_any_name() -> None:
    assert await status(["evil.example"], allowed=["*"]) == 204


@pytest.mark.parametrize("kind", ["http", "lifespan"])
async def test_what_passes_is_handed_on_as_it_is(kind: str) -> None:
    handed: list[Any] = []

    async def application(*given: Any) -> None:
        handed.extend(given)

    given: tuple[Any, Any, Any] = ({"type": kind, "method": "GET", "headers": []}, object(), object())
    await Browsers(application, hosts=LOCAL_NAMES, origins=())(*given)
    assert handed == list(given)


@pytest.mark.parametrize(
    ("headers", "setting"),
    [([(b"host", b"evil.example")], "server.allowed_hosts"), ([(b"origin", b"null")], "server.cors_origins")],
)
async def test_a_refusal_names_the_setting(headers: list[tuple[bytes, bytes]], setting: str) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def nobody(*given: Any) -> None:
        raise AssertionError

    scope = {"type": "http", "method": "GET", "headers": headers}
    await Browsers(nobody, hosts=LOCAL_NAMES, origins=())(scope, nobody, send)
    error = json.loads(sent[1]["body"])["error"]
    assert error["code"] == "forbidden"
    assert f": {setting} lists those." in error["message"]
