"""Authorization headers -> names: the keys that are accepted now, as digests.

Made by `server/app.py`, asked by `authorization.py` for every request; `reload.py` gives it new keys.
"""

import hashlib
import hmac
from collections.abc import Iterable

from alcove.config.settings import AuthSettings, Key
from alcove.errors import ConfigurationError


class KeySet:
    """Accepted keys of one kind."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._known = [(bytes.fromhex(key.digest), key.name) for key in keys]

    def __len__(self) -> int:
        return len(self._known)

    def owner(self, authorization: list[bytes]) -> str | None:
        """The name of the key that the one Authorization header carries, None if it is not accepted; takes the same
        time whichever it is."""
        if len(authorization) != 1:
            return None
        scheme, _, token = authorization[0].partition(b" ")
        digest = hashlib.sha256(token).digest()
        matches = [hmac.compare_digest(digest, known) for known, _ in self._known]  # all of them, found or not
        if scheme.lower() != b"bearer" or not any(matches):
            return None
        return self._known[matches.index(True)][1]


class KeyRing:
    """All accepted keys."""

    clients: KeySet
    """Those that open everything but `/admin`; where there are none, that is open."""
    administrators: KeySet
    """Those that open `/admin`; where there are none, there is no such place."""

    def __init__(self, auth: AuthSettings) -> None:
        self.clients = KeySet(auth.keys)
        self.administrators = KeySet(auth.admin_keys)

    def take(self, auth: AuthSettings) -> None:
        """Accept these keys from now on, and no others.

        Raises `ConfigurationError` where there are none any more, which would open the server.
        """
        if self.clients and not auth.keys:
            raise ConfigurationError("the last key is gone, which would open the server: restart it if that is meant")
        self.clients = KeySet(auth.keys)
        self.administrators = KeySet(auth.admin_keys)
