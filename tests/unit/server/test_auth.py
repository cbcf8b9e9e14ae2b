"""The key ring compares every key, found or not."""

import hmac

import pytest

from alcove.server.auth import KeyRing


@pytest.mark.parametrize("sent", [b"Bearer a", b"Bearer c", b"Bearer nothing"])
def test_every_key_is_compared(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: compared.append(other) or real(one, other))
    ring = KeyRing(("a", "b", "c"))
    assert ring.accepts([sent]) == (sent != b"Bearer nothing")
    assert len(compared) == 3


def test_no_key_opens_nothing() -> None:
    assert KeyRing(()).empty
    assert not KeyRing(()).accepts([b"Bearer "])
    assert not KeyRing(("a",)).accepts([])
    assert not KeyRing(("a",)).accepts([b"Bearer a", b"Bearer a"])
