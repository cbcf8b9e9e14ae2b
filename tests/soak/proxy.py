"""A bad network before a port: bytes go through it late, slowly, in slices, only in one direction, or not to the end.

`async with through(port, TOXICS["slicer"]) as bad_port:`. Used by the promises and by tests/e2e/test_fault_proxy.py.
"""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

_READ = 65536


@dataclass(frozen=True, slots=True)
class Toxic:
    """What is wrong with the network on the way from the server; slices are cut in both directions."""

    latency_s: float = 0.0
    """Before each piece that is passed on."""
    jitter_s: float = 0.0
    """At most so much more, at random."""
    slice_bytes: int | None = None
    """Nothing longer is passed on at a time."""
    bytes_per_s: float | None = None
    stall_s: float = 0.0
    """A pause, once, after the first `after_bytes`."""
    ending: str | None = None
    """What ends the connection after the first `after_bytes`: `reset` or `close`."""
    after_bytes: int = 0
    half_close: bool = False
    """The client's direction is closed as soon as something comes back."""

    @property
    def lossy(self) -> bool:
        """Whether an answer may not come to its end."""
        return self.ending is not None or self.half_close


TOXICS: Mapping[str, Toxic] = {
    "latency": Toxic(latency_s=0.02),
    "jitter": Toxic(latency_s=0.001, jitter_s=0.03),
    "bandwidth": Toxic(bytes_per_s=20_000, slice_bytes=512),
    "slicer": Toxic(slice_bytes=1),
    "stall": Toxic(stall_s=0.5, after_bytes=400),
    "reset": Toxic(ending="reset", after_bytes=500),
    "close": Toxic(ending="close", after_bytes=500),
    "half-close": Toxic(half_close=True),
}


@asynccontextmanager
async def through(port: int, toxic: Toxic) -> AsyncIterator[int]:
    """A port that leads to `port` by way of the toxic, for as long as it is needed."""
    open_ones: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_ones.add(task)
        with suppress(asyncio.CancelledError):  # ours, below: streams would tell of it as of a fault
            await _pass_on(reader, writer, port, toxic)
        open_ones.discard(task)

    proxy = await asyncio.start_server(pass_on, "127.0.0.1", 0, limit=_READ)
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        proxy.close()
        for task in open_ones.copy():
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, toxic: Toxic) -> None:
    with suppress(OSError):
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        for each in (writer, to_server):
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up = asyncio.create_task(_upstream(reader, to_server, toxic))
        down = asyncio.create_task(_downstream(from_server, writer, to_server, toxic))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            to_server.transport.abort()
            writer.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(1):  # for a client that does not read
                    await asyncio.gather(to_server.wait_closed(), writer.wait_closed(), return_exceptions=True)


async def _upstream(reader: asyncio.StreamReader, to_server: asyncio.StreamWriter, toxic: Toxic) -> None:
    while data := await reader.read(_READ):
        size = toxic.slice_bytes or len(data)
        for start in range(0, len(data), size):
            to_server.write(data[start : start + size])
            await to_server.drain()


async def _downstream(
    from_server: asyncio.StreamReader, writer: asyncio.StreamWriter, to_server: asyncio.StreamWriter, toxic: Toxic
) -> None:
    passed = 0
    stalled = False
    while data := await from_server.read(_READ):
        if toxic.half_close and to_server.can_write_eof():
            to_server.write_eof()
        if toxic.latency_s or toxic.jitter_s:
            await asyncio.sleep(toxic.latency_s + random.random() * toxic.jitter_s)
        size = toxic.slice_bytes or len(data)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            if toxic.ending and passed + len(piece) > toxic.after_bytes:
                writer.write(piece[: toxic.after_bytes - passed])
                _end(writer, toxic.ending)
                return
            if toxic.stall_s and not stalled and passed >= toxic.after_bytes:
                stalled = True
                await asyncio.sleep(toxic.stall_s)
            writer.write(piece)
            passed += len(piece)
            await writer.drain()
            if toxic.bytes_per_s:
                await asyncio.sleep(len(piece) / toxic.bytes_per_s)


def _end(writer: asyncio.StreamWriter, ending: str) -> None:
    if ending == "reset":
        linger = b"\1\0\0\0\0\0\0\0"
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
    else:
        writer.close()
