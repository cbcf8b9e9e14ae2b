"""Keys as people write them -> names and digests: lines of a file, entries of a variable, a forerunner's list.

Called by `config/access.py`, `config/legacy.py` and `alcove key`; what is given back goes into `Settings`. No error
shows a key.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from alcove.config.files import read_text
from alcove.errors import ConfigurationError

# Between blanks stands the sign of a name: a key itself may hold, and end with, '='.
_NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
_NAMED = re.compile(rf"(?P<name>{_NAME})\s+=\s+(?P<key>.*)")
_DIGEST = re.compile(r"sha256:(?P<digest>[0-9A-Fa-f]{64})")
_KEY = re.compile(r"[!-~]+")
_MOUNTED_SECRETS = Path("/run/secrets")
"""Where Docker and Podman mount secrets, by default for everyone in the container to read."""


class FileKeys(NamedTuple):
    """What a file of keys holds."""

    keys: list[dict[str, str]]
    warning: str | None
    """What the person who starts the server should know about the file."""


def digest_of(token: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(token.encode()).hexdigest()


def check_name(name: str) -> None:
    """Raises `ConfigurationError` for what cannot be the name of a key."""
    if not re.fullmatch(_NAME, name):
        raise ConfigurationError(f"NAME: should be at most 64 letters, digits and . _ @ -, not {name!r}")


def key_of(token: str, number: int) -> dict[str, str]:
    """The entry of a key that is the whole text, named by its number."""
    return {"name": f"key-{number}", "digest": digest_of(token)}


def keys_of(texts: Iterable[str], where: str, *, after: int) -> list[dict[str, str]]:
    """The entries of these texts: a key, `sha256:` and its digest, or `NAME = ` and either. Blank ones and those that
    begin with `#` are left out; unnamed ones are numbered from `after` on.

    Raises `ConfigurationError`, which names `where` and the number of the text, for anything else.
    """
    keys: list[dict[str, str]] = []
    for place, text in enumerate(texts, 1):
        if not (text := text.strip()) or text.startswith("#"):
            continue
        named = _NAMED.fullmatch(text)
        key = named["key"] if named else text
        if known := _DIGEST.fullmatch(key):
            entry = {"name": f"key-{after + len(keys) + 1}", "digest": known["digest"].lower()}
        elif key.startswith("sha256:"):
            raise ConfigurationError(f"{where} {place}: sha256: should be followed by 64 hexadecimal digits")
        elif not _KEY.fullmatch(key):
            raise ConfigurationError(
                f"{where} {place}: should be KEY, sha256:DIGEST, or NAME = and either; a key is of ASCII characters "
                "without blanks, a name of letters, digits and . _ @ -"
            )
        else:
            entry = key_of(key, after + len(keys) + 1)
        keys.append(entry | {"name": named["name"]} if named else entry)
    return keys


def keys_in(path: Path, *, after: int) -> FileKeys:
    """The keys of a file, one a line.

    Raises `ConfigurationError` for a file that others may read or change, cannot be read, or holds no key.
    """
    warning = _exposure(path)
    keys = keys_of(read_text(path).splitlines(), f"{path}: line", after=after)
    if not keys:
        raise ConfigurationError(f"{path}: holds no key; write one a line")
    return FileKeys(keys, warning)


def _exposure(path: Path) -> str | None:
    """A warning about a file that others may use, where nothing can be done about it from here.

    A secret that is mounted into a container comes with the mode that the mount gave it, usually 0444 and of root, and
    only this container sees it: a refusal would make people copy it to where it is worse kept.
    """
    if os.name != "posix" or not (mode := path.stat().st_mode & 0o777) & 0o077:
        return None
    if os.statvfs(path).f_flag & os.ST_RDONLY or _MOUNTED_SECRETS in path.resolve().parents:
        return f"{path}: its mode is {mode:04o}: everyone in this container can read the keys; mount it with 0400"
    raise ConfigurationError(f"{path}: its mode is {mode:04o}: others can read or change the keys; chmod 600 {path}")
