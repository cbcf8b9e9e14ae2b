"""Which ids of clients are taken over."""

import re

import pytest

from alcove.server.request_id import request_id


@pytest.mark.parametrize("sent", ["a", "A-1_b.c", "x" * 64])
def test_a_clients_own(sent: str) -> None:
    assert request_id([(b"host", b"x"), (b"x-request-id", sent.encode())]) == sent


@pytest.mark.parametrize("sent", [b"", b"x" * 65, b"a b", b"a\n", b"\xff", b"a;b", "\N{BULLET}".encode()])
def test_a_new_one_otherwise(sent: bytes) -> None:
    assert re.fullmatch("req_[0-9a-f]{32}", request_id([(b"x-request-id", sent)]))
    assert re.fullmatch("req_[0-9a-f]{32}", request_id([]))
