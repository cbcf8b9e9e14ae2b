"""Which request may pass: ASGI middleware, denied by default.

Decided on the very path that the router will match, never on the Host header, against an exact list of what is
public; so a new route is closed until someone lists it.
"""

import ipaddress

# Private, but it is what starlette's own router matches on: a copy could come to differ from it.
from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from alcove.errors import AlcoveError
from alcove.metrics.record import current
from alcove.server import errors
from alcove.server.access.keys import KeyRing

PUBLIC = frozenset({"/health", "/health/live"})
"""What needs no key."""
DOCUMENTATION = frozenset({"/docs", "/openapi.json"})
"""What needs no key either, where it has been asked for: a browser sends none for a page that it shows."""

_SEND_ONE = "Send one as 'Authorization: Bearer KEY'."


class Authorization:
    """Lets through what is public or carries an accepted key, and answers the rest with the body unread."""

    def __init__(self, app: ASGIApp, keys: KeyRing, *, public: frozenset[str], loopback_only: bool) -> None:
        self._app = app
        self._keys = keys
        self._public = public
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with the name of its key in its record, or answer 401, 403 or 404."""
        if scope["type"] == "websocket":  # nothing here speaks it
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] != "http" or get_route_path(scope) in self._public:
            await self._app(scope, receive, send)
        elif (refusal := self._refusal(scope)) is not None:
            await errors.response(refusal)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> AlcoveError | None:
        """Why the request may not pass. Notes whose key it carries."""
        keys, admin = self._keys, is_admin(scope)
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        client, administrator = keys.clients.owner(sent), keys.administrators.owner(sent)
        if (record := current.get()) is not None:
            record.caller = administrator if admin else client
        if admin and keys.administrators:
            if administrator is not None:
                return None
            if client is not None:
                return errors.Forbidden("This key does not open /admin: that needs one of the admin keys.")
            return _unknown(sent)
        if keys.clients and client is None:
            if administrator is not None:
                return errors.Forbidden("An admin key opens nothing but /admin.")
            return _unknown(sent)
        if not keys.clients and self._loopback_only and not _from_this_machine(scope):
            return errors.InvalidKey(
                "Without keys only this machine is served; set ALCOVE_API_KEYS, or ALCOVE_INSECURE_NO_AUTH=1."
            )
        return errors.UnknownUrl(f"Not Found: {scope['method']} {scope['path']}") if admin else None


def is_admin(scope: Scope) -> bool:
    """Whether the request is for `/admin` or something below it."""
    path = get_route_path(scope)
    return path == "/admin" or path.startswith("/admin/")


def _unknown(sent: list[bytes]) -> errors.InvalidKey:
    return errors.InvalidKey(f"{'Wrong' if sent else 'No'} API key. {_SEND_ONE}")


def _from_this_machine(scope: Scope) -> bool:
    client = scope.get("client")
    try:
        address = None if client is None else ipaddress.ip_address(client[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped  # as a socket of both families tells it
        return address is not None and address.is_loopback
    except ValueError:  # a Unix socket has a path for an address: only this machine can reach it, but say so by choice
        return False
