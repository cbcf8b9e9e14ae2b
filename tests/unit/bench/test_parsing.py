"""HTTP and events mean the same however the network cuts them."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alcove.bench.answers import events, outcome
from alcove.bench.http import Reply, Wire

from .odd_server import CHUNKED, USAGE, answered, chunk

STREAM = (
    b": a comment\n\n"
    b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}\n\n'
    b'event: message\r\ndata: {"choices": [{"index": 0, "delta": {"content": "gr\xc3\xbc"}}]}\r\n\r\n'
    b'data:{"choices": [{"index": 0,\ndata: "delta": {"content": "\xc3\x9fe\\n"}}]}\n\n'
    b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    b'data: {"choices": [], "usage": ' + json.dumps(USAGE).encode() + b"}\n\n"
    b"data: [DONE]\n\n"
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = [*sorted({place % len(data) for place in places} - {0}), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


PLACES = st.lists(st.integers(0, 10_000), max_size=40)


class _Nowhere(asyncio.Transport):
    """Takes bytes, and is left."""

    def write(self, data: object) -> None:
        pass

    def abort(self) -> None:
        pass


async def received(*pieces: bytes) -> Reply:
    """What becomes of an answer that comes in these pieces."""
    loop = asyncio.get_running_loop()
    wire = Wire()
    wire.connection_made(_Nowhere())
    asking = asyncio.create_task(wire.exchange(b"", loop.time() + 5, "late"))
    await asyncio.sleep(0)
    for piece in pieces:
        wire.data_received(piece)
    return await asking


@settings(max_examples=100, deadline=None)
@given(chunks=PLACES, network=PLACES)
def test_a_stream_under_every_cut(chunks: list[int], network: list[int]) -> None:
    answer = CHUNKED + b"".join(map(chunk, cut(STREAM, chunks))) + chunk(b"")
    reply = asyncio.run(received(*cut(answer, network)))
    assert (reply.status, reply.error) == (200, None)
    assert b"".join(reply.pieces) == STREAM
    assert reply.times == sorted(reply.times)
    found = outcome(reply, 0.0, started=0.0, streamed=True)
    assert (found.text, found.error, found.completion_tokens) == ("grüße\n", None, 4)
    assert len(found.chunk_times) == 2


@settings(max_examples=50, deadline=None)
@given(network=PLACES)
def test_a_whole_answer_under_every_cut(network: list[int]) -> None:
    answer = answered({"choices": [{"index": 1, "text": "two"}, {"index": 0, "text": "one"}], "usage": USAGE})
    before = b"HTTP/1.1 100 Continue\r\n\r\n"
    reply = asyncio.run(received(*cut(before + answer, network)))
    found = outcome(reply, 0.0, started=0.0, streamed=False)
    assert (reply.status, found.text, found.error, found.first_at) == (200, "one\ntwo", None, None)


@given(places=PLACES)
def test_an_event_has_the_time_of_its_last_byte(places: list[int]) -> None:
    stream = b"".join(b"data: %d\n\n" % number for number in range(20))
    pieces = cut(stream, places)
    found = events(pieces, [float(number) for number in range(len(pieces))])
    assert [data for _, data in found] == [b"%d" % number for number in range(20)]
    ends = [stream.index(b"data: %d\n\n" % number) + len(b"data: %d\n\n" % number) for number in range(20)]
    for (time, _), end in zip(found, ends, strict=True):
        assert len(b"".join(pieces[: int(time)])) < end <= len(b"".join(pieces[: int(time) + 1]))


@pytest.mark.parametrize("data", [b"data: {}", b"data: {}\n", b"event: x\n\n", b": x\n\n", b"\n\n", b""])
def test_no_event(data: bytes) -> None:
    assert events([data], [0.0]) == []
