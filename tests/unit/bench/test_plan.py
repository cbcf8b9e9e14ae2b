"""What is typed -> what is sent."""

from pathlib import Path

import pytest

from alcove.bench.measured import Load
from alcove.bench.plan import Between, Plan, loads, prompts_in
from alcove.bench.prompts import pool
from alcove.bench.run import measure
from alcove.bench.server import Server
from alcove.errors import ConfigurationError

from .odd_server import odd_server
from .quiet import Quiet


def test_levels() -> None:
    assert loads(None, None) == (Load(clients=1), Load(clients=8), Load(clients=32))
    assert loads("2,4", None) == (Load(clients=2), Load(clients=4))
    assert loads(None, "0.5,2") == (Load(rate=0.5), Load(rate=2))
    assert [load.name for load in (Load(clients=1), Load(clients=8), Load(rate=2.5))] == [
        "1 client",
        "8 clients",
        "2.5 requests/s",
    ]


@pytest.mark.parametrize(
    ("clients", "rates"), [("1", "2"), ("0", None), ("1.5", None), ("", None), ("a", None), (None, "nan"), (None, "-1")]
)
def test_levels_that_are_none(clients: str | None, rates: str | None) -> None:
    with pytest.raises(ConfigurationError, match=r"--clients|--rate"):
        loads(clients, rates)


@pytest.mark.parametrize("text", ["0", "9-8", "a", "1-", "-1", ""])
def test_ranges_that_are_none(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--x: "):
        Between.of(text, "--x")


def test_requests_of_a_level() -> None:
    plan = Plan(loads=(Load(clients=1), Load(clients=32), Load(rate=4)))
    assert [plan.count(load) for load in plan.loads] == [16, 256, 80]
    assert plan.distinct() == 32
    assert Plan(loads=plan.loads, check=False).distinct() == 16 + 256 + 80 + 2
    assert Plan(loads=plan.loads, requests=7).distinct() == 7


def test_the_pool() -> None:
    plan = Plan(
        loads=(), prompt_words=Between(20, 200), max_tokens=Between(8, 128), seed=5, ignore_eos=True, stream=False
    )
    found = pool(plan, "m", 300)
    assert pool(plan, "m", 300) == found
    lengths = [len(body["prompt"].split()) for body in found]
    assert (min(lengths) >= 20, max(lengths) <= 200, len(set(lengths)) > 100) == (True, True, True)
    assert {8 <= body["max_tokens"] <= 128 for body in found} == {True}
    assert len({body["prompt"] for body in found}) == 300
    assert {key: found[0][key] for key in found[0] if key not in {"prompt", "max_tokens"}} == {
        "model": "m",
        "temperature": 0,
        "ignore_eos": True,
    }


def test_chats_of_given_prompts(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("one\n\ntwo\n")
    plan = Plan(loads=(), chat=True, prompts=prompts_in(tmp_path / "prompts.txt"))
    assert [body["messages"][0]["content"] for body in pool(plan, "m", 3)] == ["one", "two", "one"]
    assert pool(plan, "m", 1)[0]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff"])
def test_prompts_that_are_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "prompts.txt").write_bytes(content)
    with pytest.raises(ConfigurationError, match="--prompts"):
        prompts_in(tmp_path / "prompts.txt")


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "tls"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1", 8000, "/v1", False),
        ("http://[::1]:8000/v1/", "::1", 8000, "/v1", False),
        ("https://models.example/openai/v1", "models.example", 443, "/openai/v1", True),
        ("http://models.example", "models.example", 80, "/v1", False),
    ],
)
def test_urls(url: str, host: str, port: int, path: str, tls: bool) -> None:
    server = Server.at(url)
    assert (server.host, server.port, server.path, server.tls is not None) == (host, port, path, tls)
    assert f"GET {path}/models HTTP/1.1\r\n".encode() in server.get("/models")


@pytest.mark.parametrize("url", ["http://", "http://x:port", "ftp://x"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Server.at(url)


async def test_a_server_that_answers_wrongly_under_load_is_found() -> None:
    async with odd_server() as (server, _):
        plan = Plan(
            loads=(Load(clients=1), Load(clients=4), Load(clients=4)), model="under load", requests=8, stream=False
        )
        measured = await measure(server, plan, Quiet())
    alone, four, again = measured.levels
    assert measured.wrong(alone) == 0
    assert (measured.wrong(four) or 0) >= 4
    assert (measured.wrong(four) or 0) + (measured.wrong(again) or 0) == len(measured.differences)
    assert measured.differences[0].under_load == "of another"


async def test_no_check_only_warms_up() -> None:
    async with odd_server() as (server, odd):
        plan = Plan(loads=(Load(clients=4), Load(rate=100)), model="under load", requests=8, stream=False, check=False)
        measured = await measure(server, plan, Quiet())
    assert measured.sound
    assert measured.wrong(measured.levels[0]) is None
    assert len(odd.requests) == 2 + 8 + 8
    assert len({request["prompt"] for request in odd.requests}) == 2 + 8 + 8
