"""What someone sends who means harm, as bytes: bombs, wrong types, broken HTTP, huge heads, tricks with paths.

Nothing of it may be answered with a fault of the server's. Used by the promises P8 and P9.
"""

import asyncio
import json
import random
import re
from collections import Counter
from contextlib import suppress

from tests.conformance.test_input import NO_OBJECTS, WRONG, with_field
from tests.soak.endings import code_of

_LIMIT = 2 * 1024 * 1024
_HEAD = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
_LENGTH = re.compile(rb"content-length: (\d+)")
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def _post(body: bytes) -> bytes:
    return _HEAD + b"content-length: %d\r\n\r\n" % len(body) + body


def _get(target: bytes, *headers: bytes) -> bytes:
    return b"".join([b"GET %b HTTP/1.1\r\n" % target, *(header + b"\r\n" for header in headers), b"\r\n"])


BODIES = [
    *NO_OBJECTS,
    *(with_field("completions", name, value) for name, values in WRONG.items() for value in values),
    b'{"prompt": "x", "user": [%s0]}' % (b"[]," * 65_000),
    b'{"prompt": "x", "logit_bias": {%s"1": 1}}' % b"".join(b'"%d": 1,' % i for i in range(100_000)),
    b'{"prompt": "%s"}' % (b"[" * 2_000_000),
    b'{"prompt": [%s1]}' % (b"1," * 700_000),
    b'{"prompt": "x", "n": 128, "best_of": 20, "max_tokens": 8000}',
    json.dumps({"prompt": "x", "response_format": {"type": "json_schema", "pattern": "^(a+)+$"}}).encode(),
    json.dumps({"prompt": "x", "model": "../../etc/passwd\r\n\x1b[31m"}).encode(),
]
HEADS = [
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET / HTTP/9.9\r\nhost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    _get(b"/v1/models"),
    _get(b"/v1/models", b"host: a", b"host: b"),
    _get(b"/v1/models", b"host: evil.example"),
    _get(b"//v1//models/..%2f..%2fetc/passwd", b"host: localhost"),
    _get(b"/health?x=" + b"y" * 40_000, b"host: localhost"),
    _get(b"/", b"host: localhost", b"x: " + b"y" * 1_000_000),
    _get(b"/", b"host: localhost", *(b"x-%d: y" % number for number in range(2_000))),
    _HEAD + b"content-length: 1000000000\r\n\r\n",
    _HEAD + b"content-length: -1\r\n\r\n{}",
    _HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    _HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    _HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    _HEAD + b"transfer-encoding: chunked\r\n\r\n" + (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 33 + b"0\r\n\r\n",
    _HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    _post(b" " * (_LIMIT + 1)),
]
ALL = [*map(_post, BODIES), *HEADS]


def _complete(answer: bytes) -> bool:
    """Whether one answer has come whole; those of alcove that are no stream have a length."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return length is not None and len(body) >= int(length[1])


class Hostile:
    """One who means harm, and what it is answered."""

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._chance = random.Random(seed)
        self._answers: list[tuple[bytes, bytes, bool]] = []
        """What was sent, what came back, and whether we left before that was over; looked at when there is time."""

    async def send_one(self, wait_s: float = 0.5) -> None:
        """Send one at random, and wait for what comes back."""
        sent = self._chance.choice(ALL)
        answer, left = b"", True
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(sent)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    while not _complete(answer) and (more := await reader.read(65536)):
                        answer += more
                    left = False
            writer.transport.abort()
        self._answers.append((sent, answer, left))

    async def hold(self, over: asyncio.Event) -> None:
        """Keep a connection open with half a request, a byte a second, until it is closed or over."""
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(self._chance.choice([b"GET /heal", _HEAD, _HEAD + b"content-length: 90\r\n\r\n{", b""]))
            while not over.is_set() and not reader.at_eof():
                await asyncio.sleep(1)
                writer.write(b"x")
                await writer.drain()
            writer.transport.abort()

    def judged(self) -> tuple[Counter[int], list[str]]:
        """How often each status came, 0 where the connection was closed or nothing came; and what should not be."""
        statuses: Counter[int] = Counter()
        faults = []
        for sent, answer, left in self._answers:
            found = _STATUS.match(answer)
            status = int(found[1]) if found else 0
            statuses[status] += 1
            try:
                if status >= 400 and not left:  # or the body may not have come yet
                    code_of(answer.partition(b"\r\n\r\n")[2])
                if status >= 500 and status != 503:
                    faults.append(f"{status} for {sent[:200]!r}")
            except (ValueError, AssertionError) as error:
                faults.append(f"{error} for {sent[:200]!r}")
        return statuses, faults
