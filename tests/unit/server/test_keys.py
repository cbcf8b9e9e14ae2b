"""The key ring compares every key, found or not, and never opens the server by losing them."""

import hashlib
import hmac

import pytest

from alcove.config.settings import AuthSettings, Key
from alcove.errors import ConfigurationError
from alcove.server.access.keys import KeyRing, KeySet


def keys(*texts: str) -> tuple[Key, ...]:
    return tuple(Key(name=f"of-{text}", digest=hashlib.sha256(text.encode()).hexdigest()) for text in texts)


@pytest.mark.parametrize("sent", ["a", "b", "c", "nothing", "a" * 8192])
def test_every_key_is_compared_once(monkeypatch: pytest.MonkeyPatch, sent: str) -> None:
    compared: list[object] = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: compared.append(other) or real(one, other))
    owner = KeySet(keys("a", "b", "c")).owner([f"Bearer {sent}".encode()])
    assert owner == (f"of-{sent}" if sent in {"a", "b", "c"} else None)
    assert len(compared) == 3


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [b""],
        [b"Bearer"],
        [b"Bearer "],
        [b"a"],
        [b"Basic a"],
        [b"Bearer  a"],
        [b"Bearer a "],
        [b"Bearer\ta"],
        [b"Bearer a,Bearer a"],
        [b"Bearer \xff\xfe"],
        [b"Bearer A"],
        [b"Bearer a", b"Bearer a"],
        [b"Bearer a", b""],
    ],
)
def test_odd_headers_carry_no_key(headers: list[bytes]) -> None:
    assert KeySet(keys("a")).owner(headers) is None


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER"])
def test_the_scheme_is_read_in_any_case(scheme: bytes) -> None:
    assert KeySet(keys("a")).owner([scheme + b" a"]) == "of-a"


def test_no_keys_open_nothing() -> None:
    assert not KeySet(())
    assert KeySet(()).owner([b"Bearer "]) is None


def test_a_ring_takes_other_keys_but_never_none() -> None:
    ring = KeyRing(AuthSettings(keys=keys("a"), admin_keys=keys("x")))
    ring.take(AuthSettings(keys=keys("b")))
    assert ring.clients.owner([b"Bearer a"]) is None
    assert ring.clients.owner([b"Bearer b"]) == "of-b"
    assert not ring.administrators
    with pytest.raises(ConfigurationError, match=r"^the last key is gone"):
        ring.take(AuthSettings())
    assert ring.clients.owner([b"Bearer b"]) == "of-b"
