"""Reads a request's body, within its limit, and insists on JSON."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from alcove.server.errors import ClientGone, ContentTooLarge, UnsupportedMediaType

LARGE_BYTES = 65_536
"""A larger body is parsed in a thread: on the event loop 2 MiB of small objects would hold up all streams for 0.2 s."""
Parsed = TypeVar("Parsed")

_parser = ThreadPoolExecutor(max_workers=1, thread_name_prefix="alcove-body")
"""One thread, so that there is one such body's worth of objects at a time, and one arena of memory that keeps them."""


async def parsed(request: Request, limit: int, parse: Callable[[bytes], Parsed]) -> Parsed:
    """The body as `parse` reads it. Raises what that raises, and what `read_json_bytes` does."""
    body = await read_json_bytes(request, limit)
    if len(body) <= LARGE_BYTES:
        return parse(body)
    return await asyncio.get_running_loop().run_in_executor(_parser, parse, body)


async def read_json_bytes(request: Request, limit: int) -> bytes:
    """The body; raises `ContentTooLarge` as soon as the declared or the received length is over `limit` bytes."""
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType(f"The body should be application/json, not {media_type!r}.")
    too_large = ContentTooLarge(f"The body is larger than {limit} bytes.")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > limit:
                raise too_large
    except ClientDisconnect as error:
        raise ClientGone("The client left while it sent its request.") from error
    return bytes(body)
