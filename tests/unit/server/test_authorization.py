"""What each kind of key opens, on the path that the router will match."""

import hashlib
from typing import Any

import pytest

from alcove.config.settings import AuthSettings, Key
from alcove.metrics.record import Record, current
from alcove.server.access.authorization import PUBLIC, Authorization
from alcove.server.access.keys import KeyRing

PLACES = ("/health", "/v1/models", "/metrics", "/admin/models", "/admin", "/administrator", "/nothing")


def keys(*texts: str) -> tuple[Key, ...]:
    return tuple(Key(name=text, digest=hashlib.sha256(text.encode()).hexdigest()) for text in texts)


async def status(
    auth: AuthSettings, path: str, key: str | None = None, *, root_path: str = "", client: Any = ("127.0.0.1", 1)
) -> int:
    """Of the answer; 200 is that of the application behind."""
    sent: list[dict[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        raise AssertionError("the body is not read")

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [] if key is None else [(b"authorization", f"Bearer {key}".encode())]
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "root_path": root_path,
        "headers": headers,
        "client": client,
    }
    layer = Authorization(application, KeyRing(auth), public=PUBLIC, loopback_only=auth.loopback_only)
    await layer(scope, receive, send)
    return int(sent[0]["status"])


BOTH = AuthSettings(keys=keys("client", "both"), admin_keys=keys("admin", "both"))
CLIENTS = AuthSettings(keys=keys("client"))
OPEN = AuthSettings(admin_keys=keys("admin"))


@pytest.mark.parametrize(
    ("auth", "key", "expected"),
    [  # in the order of PLACES
        (BOTH, None, (200, 401, 401, 401, 401, 401, 401)),
        (BOTH, "wrong", (200, 401, 401, 401, 401, 401, 401)),
        (BOTH, "client", (200, 200, 200, 403, 403, 200, 200)),
        (BOTH, "admin", (200, 403, 403, 200, 200, 403, 403)),
        (BOTH, "both", (200, 200, 200, 200, 200, 200, 200)),
        (CLIENTS, None, (200, 401, 401, 401, 401, 401, 401)),
        (CLIENTS, "client", (200, 200, 200, 404, 404, 200, 200)),
        (OPEN, None, (200, 200, 200, 401, 401, 200, 200)),
        (OPEN, "admin", (200, 200, 200, 200, 200, 200, 200)),
        (AuthSettings(), None, (200, 200, 200, 404, 404, 200, 200)),
        (AuthSettings(), "any", (200, 200, 200, 404, 404, 200, 200)),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/api"])
async def test_what_each_key_opens(
    auth: AuthSettings, key: str | None, expected: tuple[int, ...], root_path: str
) -> None:
    found = [await status(auth, root_path + path, key, root_path=root_path) for path in PLACES]
    assert tuple(found) == expected


@pytest.mark.parametrize(
    ("path", "key", "caller"),
    [
        ("/v1/models", "client", "client"),
        ("/v1/models", "wrong", None),
        ("/v1/models", None, None),
        ("/admin/models", "admin", "admin"),
        ("/admin/models", "client", None),
    ],
)
async def test_the_record_says_whose_key_it_was(path: str, key: str | None, caller: str | None) -> None:
    record = Record()
    current.set(record)
    await status(BOTH, path, key)
    assert record.caller == caller


@pytest.mark.parametrize(
    "path", ["/health/", "//health", "/HEALTH", "/v1/../health", "/health/live/x", "", "/health\n"]
)
async def test_only_the_very_path_is_public(path: str) -> None:
    assert await status(CLIENTS, path) == 401


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (("127.0.0.1", 1), 200),
        (("::1", 1), 200),
        (("::ffff:127.0.0.1", 1), 200),
        (("192.0.2.1", 1), 401),
        (("::ffff:192.0.2.1", 1), 401),
        (("/run/socket", 0), 401),
        (None, 401),
    ],
)
async def test_without_keys_and_address_only_this_machine(client: Any, expected: int) -> None:
    assert await status(AuthSettings(loopback_only=True), "/v1/models", client=client) == expected


async def test_a_web_socket_is_closed() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it goes no further")

    layer = Authorization(application, KeyRing(AuthSettings()), public=PUBLIC, loopback_only=False)
    await layer({"type": "websocket", "path": "/health", "headers": []}, None, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
