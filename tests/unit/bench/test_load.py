"""Both ways to load, against a server that answers well and in every way in which servers fail."""

import asyncio
import socket
import statistics
import time
from typing import Any

import pytest

from alcove.bench.load import arrivals, closed_loop, poisson
from alcove.bench.server import Server

from .odd_server import odd_server


def bodies(model: str, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"model": model, "prompt": str(number), **more} for number in range(count)]


async def test_each_client_has_one_request_at_a_time_and_keeps_its_connection() -> None:
    told = []
    async with odd_server() as (server, odd):
        level = await closed_loop(server, bodies("slow", 20), clients=4, on_answer=lambda: told.append(1))
    assert (odd.connections, odd.most_at_once, len(told)) == (4, 4, 20)
    assert sorted(int(str(request["prompt"])) for request in odd.requests) == list(range(20))
    assert {outcome.text for outcome in level.outcomes} == {"ab"}
    assert level.completion_tokens == 80
    assert not level.failures
    assert not level.counts_chunks
    assert level.first_token_s is None
    assert 0.1 <= level.span_s < 1
    assert level.tokens_per_s == pytest.approx(80 / level.span_s)
    assert 0 < level.load_cpu_s <= level.cpu_s


async def test_what_is_sent() -> None:
    async with odd_server() as (server, odd):
        await closed_loop(server, bodies("whole", 1), clients=1)
        await closed_loop(server, [{"model": "whole", "messages": []}], clients=1)
    completion, chat = odd.requests
    assert completion["line"] == "POST /v1/completions HTTP/1.1"
    assert chat["line"] == "POST /v1/chat/completions HTTP/1.1"
    assert completion["headers"]["authorization"] == "bearer sk-test"
    assert "sk-test" not in repr(server)


async def test_a_stream_has_times() -> None:
    async with odd_server() as (server, _):
        level = await closed_loop(server, bodies("stream", 3, stream=True), clients=1)
    for outcome in level.outcomes:
        assert outcome.text == "ab"
        assert (outcome.prompt_tokens, outcome.completion_tokens) == (3, 4)
        assert len(outcome.chunk_times) == 2
        assert outcome.sent_at < outcome.chunk_times[0] < outcome.chunk_times[1] < outcome.ended_at
        assert outcome.first_at == outcome.chunk_times[0]
    assert level.gap_s is not None
    assert 0.009 < level.gap_s.p50 < 0.1


FAILURES = {
    "without end": "the stream ended without [DONE]",
    "error event": "an error in the stream: the model is tired",
    "cut": "the connection was cut before the answer was complete",
    "cut at once": "the connection was cut before the answer was complete",
    "hangs": "no complete answer within 0.2 s",
    "500": "status 500: the model is tired",
    "502": "status 502: <html>Bad Gateway</html>",
    "not HTTP": "the answer is not HTTP",
}


@pytest.mark.parametrize("model", FAILURES)
async def test_a_failure_has_its_reason(model: str) -> None:
    async with odd_server() as (server, _):
        level = await closed_loop(server, bodies(model, 3, stream=True), clients=2, timeout_s=0.2)
    assert level.failures == {FAILURES[model]: 3}
    assert level.tokens_per_s == 0
    assert level.latency_s is None


async def test_answers_that_are_not_openais() -> None:
    async with odd_server() as (server, _):
        (broken,) = (await closed_loop(server, bodies("not JSON", 1, stream=True), clients=1)).outcomes
        (other,) = (await closed_loop(server, bodies("no choices", 1), clients=1)).outcomes
    assert broken.error is not None
    assert broken.error.startswith("the answer is not what OpenAI's API sends: ")
    assert other.error == "the answer has no choices"


async def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = Server.at(f"http://127.0.0.1:{probe.getsockname()[1]}")
        level = await closed_loop(server, bodies("whole", 2), clients=2)
    (reason,) = level.failures
    assert reason.startswith("cannot connect: ")


async def test_failures_do_not_stop_the_others() -> None:
    async with odd_server() as (server, _):
        mixed = [*bodies("whole", 5), *bodies("500", 5), *bodies("cut at once", 5), *bodies("whole", 5)]
        level = await closed_loop(server, mixed, clients=2)
    assert [outcome.error is None for outcome in level.outcomes] == [True] * 5 + [False] * 10 + [True] * 5


@pytest.mark.parametrize("model", ["closes", "leaves"])
async def test_a_connection_that_does_not_stay_is_made_anew(model: str) -> None:
    async with odd_server() as (server, odd):
        level = await closed_loop(server, bodies(model, 5), clients=1)
    assert not level.failures
    assert {outcome.text for outcome in level.outcomes} == {"ab"}
    assert odd.connections == 5


async def test_chunks_stand_for_tokens_that_are_not_counted() -> None:
    async with odd_server() as (server, _):
        level = await closed_loop(server, bodies("without usage", 4, stream=True), clients=2)
    assert level.counts_chunks
    assert level.completion_tokens == 8


async def test_arrivals_wait_for_nothing() -> None:
    async with odd_server() as (server, odd):
        level = await poisson(server, bodies("slow", 50), rate=500, seed=1)
    assert not level.failures
    assert 2 < odd.most_at_once <= odd.connections < 50
    planned = arrivals(50, 500, 1)
    for outcome, arrival in zip(level.outcomes, planned, strict=True):
        assert outcome.sent_at == pytest.approx(arrival, abs=0.02)
        assert outcome.lateness_s >= 0
        assert outcome.ended_at - outcome.sent_at >= 0.019
    assert level.max_lateness_s < 0.5


async def test_own_lateness_is_part_of_the_latency() -> None:
    async with odd_server() as (server, _):
        loading = asyncio.create_task(poisson(server, bodies("whole", 20), rate=1000))
        await asyncio.sleep(0.002)
        time.sleep(0.1)  # noqa: ASYNC251 - the client is held up
        level = await loading
    assert level.max_lateness_s > 0.05
    assert level.latency_s is not None
    assert level.latency_s.p99 > 0.05


def test_arrivals_have_their_rate_and_their_seed() -> None:
    times = arrivals(20_000, rate=8, seed=3)
    gaps = [after - before for before, after in zip([0.0, *times], times, strict=False)]
    assert statistics.mean(gaps) == pytest.approx(1 / 8, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(1 / 8, rel=0.05)  # as exponential gaps have it
    assert arrivals(5, 8, 3) == times[:5]
    assert arrivals(5, 8, 4) != times[:5]
