"""Who may use the server: bearer tokens, denied by default.

Decided on the path that the router itself will match, never on the Host header, against an exact list of what is
public; so a new route is closed until someone lists it.
"""

import hashlib
import hmac
import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from alcove.config.settings import AuthSettings
from alcove.server import errors

PUBLIC = frozenset({"/health", "/health/live"})


class KeyRing:
    """The accepted keys, kept as digests."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._digests = [_digest(key.encode()) for key in keys]

    @property
    def empty(self) -> bool:
        """Whether no key is configured at all."""
        return not self._digests

    def accepts(self, authorization: list[bytes]) -> bool:
        """Whether the one Authorization header carries an accepted key; takes the same time whichever it is."""
        if len(authorization) != 1:
            return False
        scheme, _, token = authorization[0].partition(b" ")
        digest = _digest(token)
        matches = [hmac.compare_digest(digest, known) for known in self._digests]  # all of them, found or not
        return any(matches) and scheme.lower() == b"bearer"


class Authorization:
    """ASGI middleware that lets through what is public or carries an accepted key."""

    def __init__(self, app: ASGIApp, settings: AuthSettings) -> None:
        self._app = app
        self._keys = KeyRing(settings.keys)
        self._loopback_only = settings.loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 without having read its body."""
        if scope["type"] != "http" or scope["path"] in PUBLIC or self._allowed(scope):
            await self._app(scope, receive, send)
            return
        message = "Wrong API key." if "authorization" in Headers(scope=scope) else "No API key."
        if self._keys.empty:
            message = "Without keys only this machine is served; set ALCOVE_API_KEYS, or ALCOVE_INSECURE_NO_AUTH=1."
        hint = " Send one as 'Authorization: Bearer KEY'." if not self._keys.empty else ""
        await errors.response(errors.InvalidKey(message + hint))(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        if self._keys.empty:
            return not self._loopback_only or _is_loopback(scope)
        return self._keys.accepts([value for name, value in scope["headers"] if name == b"authorization"])


def _is_loopback(scope: Scope) -> bool:
    client = scope.get("client")
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:  # a Unix socket has a path for an address: only this machine can reach it, but say so by choice
        return False


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
