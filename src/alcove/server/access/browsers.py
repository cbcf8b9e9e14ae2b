"""Keeps web sites away from a server that only this machine should reach: ASGI middleware.

A page in a browser here can send requests to 127.0.0.1, and once its own name points there (DNS rebinding) read the
answers, too. The browser says so: by the name in `Host`, and by the page's `Origin`.
"""

import re
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from alcove.server import errors

_AUTHORITY = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+?)\.?(:[0-9]{1,5})?")
ANY = "*"
"""Stands for every name or origin."""


class Browsers:
    """Refuses with 403 what comes under a name that is not answered, or from a page of another origin."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], origins: Iterable[str]) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with its body unread."""
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            await errors.response(refusal)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> errors.Forbidden | None:
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if self._hosts and hosts and not self._answers(hosts):
            return errors.Forbidden(
                "This name in the Host header is not answered here: server.allowed_hosts lists those."
            )
        # Elsewhere pages lack a key, or it is meant to be open to all; but a preflight asks for this very answer.
        asked = self._hosts or scope["method"] == "OPTIONS"
        if asked and origins and not self._welcomes(origins, hosts):
            return errors.Forbidden("Pages of this origin may not call this server: server.cors_origins lists those.")
        return None

    def _answers(self, hosts: list[str]) -> bool:
        """Whether the one name is answered; none at all is sent by clients of HTTP/1.0, which are no browsers."""
        if ANY in self._hosts:
            return True
        found = _AUTHORITY.fullmatch(hosts[0].lower())
        if len(hosts) != 1 or found is None:
            return False
        name = found["name"]
        above = ("*" + name[dot:] for dot, letter in enumerate(name) if letter == ".")
        return not self._hosts.isdisjoint((name, *above))

    def _welcomes(self, origins: list[str], hosts: list[str]) -> bool:
        """Whether the one origin is listed, or that of this server itself."""
        if len(origins) != 1:
            return False
        own = [f"{scheme}://{host.lower()}" for scheme in ("http", "https") for host in hosts]
        return not self._origins.isdisjoint((ANY, origins[0])) or origins[0].lower() in own


def _values(scope: Scope, header: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == header]
