"""The hook over all tests sees each answer that is not OpenAI's error, however the client came by it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import httpx2
import pytest

from tests import every_error

ERROR = '{"error":{"message":"%s","type":"server_error","param":null,"code":null}}'
JSON, ID = "content-type: application/json", "x-request-id: req_1"
RIGHT = ((JSON, ID), ERROR % "The server failed.")
WRONG: dict[str, tuple[tuple[str, ...], str, str]] = {
    "a text": (("content-type: text/plain; charset=utf-8",), "Internal Server Error", "not application/json"),
    "a text with an id": (("content-type: text/plain", ID), "Internal Server Error", "not application/json"),
    "no id": ((JSON,), ERROR % "x", "no x-request-id"),
    "no type": ((ID,), ERROR % "x", "not application/json"),
    "another shape": ((JSON, ID), '{"detail":"x"}', "'error' is a required property"),
    "a number for a code": ((JSON, ID), ERROR.replace('"code":null', '"code":500') % "x", "$.error.code"),
    "an address": ((JSON, ID), ERROR % "<Engine at 0x7f3a2b1c>", "tells of the machine"),
    "a home": ((JSON, ID), ERROR % "no file /home/me/model", "tells of the machine"),
    "a trace": ((JSON, ID), ERROR % "Traceback (most recent call last)", "tells of the machine"),
    "a library's file": ((JSON, ID), ERROR % "/usr/lib/python3/site-packages/x.py", "tells of the machine"),
}


def answer(headers: tuple[str, ...], body: str) -> bytes:
    lines = ["HTTP/1.1 500 Internal Server Error", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", body]).encode()


@pytest.fixture(autouse=True)
def _problems_are_wanted_here() -> Iterator[None]:
    yield
    every_error.problems.clear()


@asynccontextmanager
async def answering(content: bytes) -> AsyncIterator[int]:
    """A server on the port that it yields, with one answer to all that is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if head.startswith(b"HEAD") else content)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def ask(url: str, method: str = "GET") -> None:
    """By every client that is watched."""
    for library in (httpx, httpx2):
        async with library.AsyncClient(verify=False) as client:
            await client.request(method, url)
        await asyncio.to_thread(library.request, method, url, verify=False)


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_seen_by_all_clients(wrong: tuple[tuple[str, ...], str, str]) -> None:
    headers, body, problem = wrong
    for name in ("127.0.0.1", "localhost"):
        async with answering(answer(headers, body)) as port:
            await ask(f"http://{name}:{port}/")
        assert sum(problem in each for each in every_error.problems) == 4
        every_error.problems.clear()


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_seen_on_a_bare_connection(wrong: tuple[tuple[str, ...], str, str]) -> None:
    """The last of three answers, of which the first is none and the second right."""
    headers, body, problem = wrong
    every_error.see_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" + answer(*RIGHT) + answer(headers, body))
    assert any(problem in each for each in every_error.problems)
    assert all("The server failed." not in each for each in every_error.problems)


def test_an_error_without_a_length_is_seen() -> None:
    every_error.see_raw(b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain\r\n\r\nOh")
    assert every_error.problems


async def test_what_is_right_is_no_problem() -> None:
    before = every_error.seen
    for headers in ((JSON, ID), (JSON, "X-Request-Id: the.client-s_own")):
        async with answering(answer(headers, RIGHT[1])) as port:
            await ask(f"http://127.0.0.1:{port}/")
        every_error.see_raw(answer(headers, RIGHT[1]))
    assert (every_error.seen - before, every_error.problems) == (10, [])


async def test_an_answer_to_head_needs_its_headers_only() -> None:
    for headers, problems in (((JSON, ID), 0), ((JSON,), 4)):
        async with answering(answer(headers, RIGHT[1])) as port:
            await ask(f"http://127.0.0.1:{port}/", "HEAD")
        assert len(every_error.problems) == problems


async def test_foreign_servers_answer_as_they_like(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(answer((), "Bad Gateway")) as port:
        monkeypatch.setattr(every_error, "foreign", {port})
        await ask(f"http://127.0.0.1:{port}/")
    assert every_error.problems == []


def test_a_test_with_a_problem_fails() -> None:
    """And the next one begins anew."""
    every_error.see_raw(answer(("content-type: text/plain",), "Internal Server Error"))
    with pytest.raises(pytest.fail.Exception, match="500: not application/json: b'Internal Server Error'"):
        every_error.judge()
    every_error.judge()
