"""Who may use the server: gathers the keys, and refuses to open a server to the network by accident."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path

from alcove.config.files import read_text
from alcove.config.layers import Entry, Layer, Location, Origin
from alcove.config.settings import AuthSettings, Settings
from alcove.errors import ConfigurationError

KEYS: Location = ("auth", "keys")


def gathered_keys(auth: AuthSettings, entries: Mapping[Location, Entry], environ: Mapping[str, str]) -> Entry | None:
    """The keys of the environment, of the keys file and of the configuration together; None where none is asked for.

    Raises `ConfigurationError` where keys are asked for and there are none: that must not open the server.
    """
    keys = list(auth.keys)
    sources = [str(entries[KEYS].origin)] if keys else []
    asked_for = ("auth", "keys_env") in entries
    if asked_for or auth.keys_env in environ:
        found = [key.strip() for key in environ.get(auth.keys_env, "").split(",") if key.strip()]
        if not found:
            state = "is set but holds no key" if auth.keys_env in environ else "is not set (auth.keys_env names it)"
            raise ConfigurationError(
                f"environment: {auth.keys_env}: {state}; put the keys into it, separated by commas, "
                "or remove it to serve without keys"
            )
        keys += found
        sources.append(f"environment: {auth.keys_env}")
    if auth.keys_file is not None:
        if not Path(auth.keys_file).is_file():
            raise ConfigurationError(f"{entries['auth', 'keys_file'].origin}: no such file: {auth.keys_file}")
        found = [line.strip() for line in read_text(Path(auth.keys_file)).splitlines() if line.strip()]
        if not found:
            raise ConfigurationError(f"{auth.keys_file}: holds no key; write one a line")
        keys += found
        sources.append(auth.keys_file)
    if not keys:
        return None
    return Entry(list(dict.fromkeys(keys)), Origin(" and ".join(sources), "keys"))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
