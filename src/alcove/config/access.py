"""Who may use the server, and under which names: gathers the keys, and refuses to open a server to the network by
accident. Called by `config/load.py`."""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from alcove.config.keys import keys_in, keys_of
from alcove.config.layers import Entry, Layer, Location, Origin
from alcove.config.settings import AuthSettings, Settings
from alcove.errors import ConfigurationError

LOCAL_NAMES = ("localhost", "*.localhost", "127.0.0.1", "[::1]")
"""What a browser may call this machine by without asking a name server that an attacker may own."""


class Gathered(NamedTuple):
    """What must be set for the keys that were found, and warnings about where they were."""

    entries: dict[Location, Entry]
    warnings: tuple[str, ...]


def gathered_keys(auth: AuthSettings, entries: Mapping[Location, Entry], environ: Mapping[str, str]) -> Gathered:
    """The keys of the environment, of the keys file and of the configuration together, each once.

    Raises `ConfigurationError` where keys are asked for and there are none: that must not open the server.
    """
    found: dict[Location, Entry] = {}
    warnings: list[str] = []
    for field in ("keys", "admin_keys"):
        entry, warning = _gathered(field, auth, entries, environ)
        if entry is not None:
            found["auth", field] = entry
        if warning is not None:
            warnings.append(warning)
    return Gathered(found, tuple(warnings))


def _gathered(
    field: str, auth: AuthSettings, entries: Mapping[Location, Entry], environ: Mapping[str, str]
) -> tuple[Entry | None, str | None]:
    keys = [key.model_dump() for key in getattr(auth, field)]
    sources = [str(entries["auth", field].origin)] if keys else []
    variable, file = getattr(auth, f"{field}_env"), getattr(auth, f"{field}_file")
    warning = None
    if ("auth", f"{field}_env") in entries or variable in environ:
        found = keys_of(environ.get(variable, "").split(","), f"environment: {variable}: entry", after=len(keys))
        if not found:
            state = "is set but holds no key" if variable in environ else f"is not set (auth.{field}_env names it)"
            raise ConfigurationError(
                f"environment: {variable}: {state}; put the keys into it, separated by commas, "
                "or remove it to serve without keys"
            )
        keys += found
        sources.append(f"environment: {variable}")
    if file is not None:
        if not os.path.isfile(file):
            raise ConfigurationError(f"{entries['auth', f'{field}_file'].origin}: no such file: {file}")
        found, warning = keys_in(Path(file), after=len(keys))
        keys += found
        sources.append(file)
    if not keys:
        return None, None
    once = {key["digest"]: key for key in reversed(keys)}  # of two with the same digest the first one stays
    return Entry([key for key in keys if once[key["digest"]] is key], Origin(" and ".join(sources), "keys")), warning


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def answered_names(settings: Settings, *, address_known: bool) -> dict[Location, Entry]:
    """What must be set for a server that only this machine reaches: a page of a web site can reach it, too, from a
    browser here, under whatever name the site has, and is told from this machine's own by that name."""
    host = settings.server.host
    if not (is_loopback(host) if address_known else settings.auth.loopback_only):
        return {}
    own = f"[{host}]" if ":" in host else host.lower()
    names = dict.fromkeys((*settings.server.allowed_hosts, *LOCAL_NAMES, own))
    return {("server", "allowed_hosts"): Entry(list(names), Origin("loopback", "this machine's names"))}


def without_keys(settings: Settings, file: Layer, *, address_known: bool) -> tuple[dict[Location, Entry], str | None]:
    """What must be set for a server that has no keys, and a warning about it.

    Raises `ConfigurationError` where it would be open to the network and nobody has asked for that.
    """
    auth, host = settings.auth, settings.server.host
    if auth.keys or auth.insecure_no_auth:
        return {}, None
    if is_loopback(host):
        origin = Origin("no keys", "the address is unknown")
        return {} if address_known else {("auth", "loopback_only"): Entry(True, origin)}, None
    if not file.forerunner:
        raise ConfigurationError(
            f"server.host is {host} and there are no keys, so that anyone could use the server: put keys into the "
            "environment variable ALCOVE_API_KEYS, listen on 127.0.0.1, or say --insecure-no-auth"
        )
    return {("auth", "insecure_no_auth"): Entry(True, Origin(file.source, "a forerunner's set-up"))}, (
        f"ANYONE WHO REACHES {host}, PORT {settings.server.port}, CAN USE THIS SERVER: it has no keys. "
        "Put keys into ALCOVE_API_KEYS, or listen on 127.0.0.1; --insecure-no-auth silences this"
    )
