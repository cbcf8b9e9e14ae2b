"""Engines that raise, hang, die or find no memory, behind the real server: each request ends, readiness is true."""

import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest

import alcove
from tests.serving import Server, clean_environment, running

ECHO = 'source = "builtin:echo"\nengine = "echo"\n'
LONG = "x" * 1500


def model(name: str, options: str = "", **settings: Any) -> str:
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    return f'[[model]]\nname = "{name}"\n{ECHO}engine_options = {{ {options} }}\n{lines}'


@contextmanager
def serving(folder: Path, *models: str, server: str = "") -> Iterator[Server]:
    (folder / "alcove.toml").write_text(f"[server]\ndrain_timeout_s = 2\n{server}\n" + "\n".join(models))
    with running("serve", cwd=folder) as started:
        yield started


def ask(server: Server, name: str, prompt: str = "hi", **more: Any) -> httpx.Response:
    return server.post("/v1/completions", {"model": name, "prompt": prompt, "max_tokens": 2000, **more})


def code(response: httpx.Response) -> tuple[int, str | None]:
    return response.status_code, response.json().get("error", {}).get("code")


def streamed(server: Server, name: str, on_first: Callable[[], None] = lambda: None) -> list[bytes]:
    """The events of a long answer; `on_first` is called when the first of them has come."""
    body = {"model": name, "prompt": LONG, "max_tokens": 2000, "stream": True}
    events: list[bytes] = []
    with httpx.stream("POST", f"{server.api}/completions", json=body, timeout=60) as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if line:
                events.append(line.removeprefix("data: ").encode())
                if len(events) == 1:
                    on_first()
    return events


def until(true: Callable[[], bool], seconds: float) -> float:
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds, "it did not come to pass"
        time.sleep(0.02)
    return time.monotonic() - begun


def child_of(server: Server) -> psutil.Process:
    (child,) = psutil.Process(server.process.pid).children()
    return child


def ready(server: Server) -> bool:
    return server.get("/health").status_code == 200


def in_background(call: Callable[[], Any]) -> Callable[[], Any]:
    """Call it in a thread; the result is what the returned function waits for."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()

    def result() -> Any:
        thread.join(60)
        return results[0]

    return result


# ---- an engine in a process of its own


@pytest.fixture(scope="module")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("isolated")
    with serving(
        folder,
        model("slow", "delay_s = 0.02, workers = 2", isolation="process", max_queue=1),
        model("other"),
    ) as server:
        ask(server, "nobody")  # the first error has OpenAI's schema read here, which takes seconds on a busy machine
        yield server


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_child_that_dies_fails_its_requests_and_is_back(isolated: Server, number: signal.Signals) -> None:
    until(lambda: code(ask(isolated, "slow")) == (200, None), 5)
    child, begun = child_of(isolated), threading.Event()
    whole = in_background(lambda: (ask(isolated, "slow", LONG), time.monotonic()))
    events = in_background(lambda: (streamed(isolated, "slow", begun.set), time.monotonic()))
    assert begun.wait(10)
    os.kill(child.pid, number)
    died = time.monotonic()
    answer, at = whole()
    assert code(answer) == (500, "internal_error")
    assert answer.headers["x-should-retry"] == "false", "it may be what has killed the engine"
    assert at - died < 5
    told, at = events()
    assert at - died < 5
    assert json.loads(told[-1])["error"]["code"] == "internal_error"
    assert code(ask(isolated, "other")) == (200, None)
    until(lambda: code(ask(isolated, "slow")) == (200, None), 5)
    assert child_of(isolated).pid != child.pid
    assert f"its engine's process was ended by {number.name}" in isolated.log.read_text()


def test_clients_see_no_difference(isolated: Server) -> None:
    client = openai.OpenAI(base_url=isolated.api, api_key="none", max_retries=0)
    for name in ("slow", "other"):
        whole = client.completions.create(model=name, prompt=["ab", "grüße"], n=2, max_tokens=50, logprobs=1, seed=1)
        assert [choice.text for choice in whole.choices] == ["ab", "ab", "grüße", "grüße"]
        chunks = client.completions.create(model=name, prompt="grüße", stream=True, max_tokens=50)
        assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "grüße"


def test_a_full_queue_is_refused_and_a_client_that_leaves_frees_its_place(isolated: Server) -> None:
    def begin() -> httpx.Response | None:
        try:
            return httpx.post(
                f"{isolated.api}/completions",
                json={"model": "slow", "prompt": LONG, "max_tokens": 2000},
                timeout=httpx.Timeout(10, read=1.5),
            )
        except httpx.ReadTimeout:
            return None

    clients = [in_background(begin) for _ in range(8)]
    answers = [client() for client in clients]
    refused = [answer for answer in answers if answer is not None]
    assert refused
    assert {code(answer) for answer in refused} == {(503, "server_is_overloaded")}
    until(lambda: code(ask(isolated, "slow")) == (200, None), 5)


def test_the_server_has_no_engine_library_in_it(tmp_path: Path) -> None:
    with serving(
        tmp_path, '[[model]]\nname = "m"\nsource = "builtin:alcove-seq2seq"\nisolation = "process"\nthreads = 1'
    ) as server:
        assert ask(server, "m", "What's a nice reptile?", max_tokens=20).json()["choices"][0]["text"].strip()
        child = child_of(server)
        libraries = [Path(f"/proc/{pid}/maps").read_text() for pid in (server.process.pid, child.pid)]
        assert ["ctranslate2" in maps for maps in libraries] == [False, True]
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
    assert not child.is_running()


def test_a_crash_loop_ends_the_server_where_that_is_wanted(tmp_path: Path) -> None:
    with serving(
        tmp_path,
        model("m", 'fail_after = 3, fault = "crash"', isolation="process"),
        server='on_engine_death = "exit"',
    ) as server:
        assert code(ask(server, "m")) == (200, None), "shorter than the fault"
        seen = set()
        begun = time.monotonic()
        while server.process.poll() is None:
            assert time.monotonic() - begun < 30
            try:
                seen.add(code(ask(server, "m", "too long")))
            except httpx.TransportError:
                time.sleep(0.1)
        assert server.process.returncode == 70
    assert seen <= {(500, "internal_error"), (503, "model_loading"), (503, "model_unavailable"), (503, "shutting_down")}
    log = server.log.read_text()
    assert "time and again" in log
    assert "Traceback" not in log


# ---- an engine that hangs


def test_a_hang_in_our_process_is_seen_and_goes_away(tmp_path: Path) -> None:
    slow = model("m", "delay_s = 1.2", stall_timeout_s=0.5)
    with serving(tmp_path, slow, model("other")) as server:
        answer = in_background(lambda: ask(server, "m", "a"))
        until(lambda: "has made no step for 0.5 s" in server.log.read_text(), 10)
        assert server.get("/health/live").status_code == 200
        assert code(ask(server, "other")) == (200, None)
        assert code(answer()) == (200, None)
        assert "its engine goes on again" in server.log.read_text()


def test_a_hang_that_passes_when_all_have_left_is_over(tmp_path: Path) -> None:
    with serving(tmp_path, model("m", "delay_s = 2", stall_timeout_s=0.5, request_timeout_s=1)) as server:
        assert code(ask(server, "m", "a")) == (504, "timeout")
        assert "has made no step for 0.5 s" in server.log.read_text()
        until(lambda: ready(server), 20)


def test_readiness_tells_of_a_hang_and_the_process_ends_where_that_is_wanted(tmp_path: Path) -> None:
    hanging = model("m", 'fail_after = 3, fault = "hang"', stall_timeout_s=0.5, request_timeout_s=1.5)
    with serving(tmp_path, hanging) as server:
        assert ready(server)
        begun = time.monotonic()
        answer = in_background(lambda: (ask(server, "m", "too long"), time.monotonic()))
        until(lambda: not ready(server), 5)
        assert server.get("/v1/models").json()["data"][0]["state"] == "failed"
        assert server.get("/health/live").status_code == 200
        given_up, at = answer()
        assert code(given_up) == (504, "timeout")
        assert 1.4 < at - begun < 10
        assert "request_timeout_s" in given_up.json()["error"]["message"]
        assert not ready(server)
        server.process.send_signal(signal.SIGKILL)
    with serving(tmp_path, hanging, server='on_engine_death = "exit"') as server:
        answer = in_background(lambda: ask(server, "m", "too long"))
        assert server.process.wait(30) == 70
        assert answer().status_code in (503, 504)


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_one_worker_that_hangs_is_seen_though_the_other_goes_on(tmp_path: Path, isolation: str) -> None:
    options = 'fail_after = 3, fault = "hang", workers = 2'
    hanging = model("m", options, stall_timeout_s=0.5, request_timeout_s=2, isolation=isolation)
    with serving(tmp_path, hanging) as server:
        answer = in_background(lambda: ask(server, "m", "too long"))
        begun = time.monotonic()
        while "a batch of its engine has made no step for 0.5 s" not in server.log.read_text():
            assert time.monotonic() - begun < 10
            ask(server, "m", "a")
            time.sleep(0.02)
        if isolation == "none":
            assert not ready(server)
            assert code(answer()) == (504, "timeout")
            assert code(ask(server, "m", "a")) == (200, None)
            assert not ready(server), "its place is not free"
            server.process.send_signal(signal.SIGKILL)
        else:
            assert answer().status_code == 500
            until(lambda: code(ask(server, "m", "a")) == (200, None) and ready(server), 5)


def test_a_child_that_hangs_is_replaced(tmp_path: Path) -> None:
    with serving(
        tmp_path, model("m", 'fail_after = 3, fault = "hang"', stall_timeout_s=0.5, isolation="process")
    ) as server:
        child = child_of(server)
        assert code(ask(server, "m", "too long")) == (500, "internal_error")
        until(lambda: code(ask(server, "m")) == (200, None), 5)
        assert child_of(server).pid != child.pid


# ---- deadlines


@pytest.fixture(scope="module", params=["none", "process"])
def deadlines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("deadlines")
    with serving(
        folder,
        model("queue", "delay_s = 0.02", queue_timeout_s=0.5, max_batch_size=1, isolation=request.param),
        model("first", "delay_s = 3", first_token_timeout_s=0.5, isolation=request.param),
        model("whole", "delay_s = 0.02", request_timeout_s=0.5, isolation=request.param),
    ) as server:
        yield server


def test_who_waits_too_long_for_its_turn_is_told(deadlines: Server) -> None:
    first = threading.Event()
    in_background(lambda: streamed(deadlines, "queue", first.set))
    assert first.wait(10)
    begun = time.monotonic()
    waiting = ask(deadlines, "queue")
    assert code(waiting) == (504, "timeout")
    assert 0.4 < time.monotonic() - begun < 8
    assert "its turn did not come within 0.5 s (queue_timeout_s)" in waiting.json()["error"]["message"]


def test_who_gets_no_first_token_is_told(deadlines: Server) -> None:
    answer = ask(deadlines, "first")
    assert code(answer) == (504, "timeout")
    assert "first_token_timeout_s" in answer.json()["error"]["message"]


def test_a_whole_that_takes_too_long_is_cut_and_its_place_free(deadlines: Server) -> None:
    assert code(ask(deadlines, "whole", LONG)) == (504, "timeout")
    events = streamed(deadlines, "whole")
    assert len(events) > 5
    assert json.loads(events[-1])["error"]["code"] == "timeout"
    assert json.loads(events[-1])["error"]["type"] == "server_error"
    begun = time.monotonic()
    assert code(ask(deadlines, "whole")) == (200, None)
    assert time.monotonic() - begun < 5, "the place is free at once"


# ---- memory


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_want_of_memory_is_answered_and_the_engine_kept(tmp_path: Path, isolation: str) -> None:
    with serving(tmp_path, model("m", 'fail_after = 3, fault = "memory"', isolation=isolation)) as server:
        for _ in range(3):
            refused = ask(server, "m", "too long")
            assert code(refused) == (503, "insufficient_memory")
            assert refused.headers["retry-after"]
            assert code(ask(server, "m")) == (200, None)
        assert ready(server)


def widened(folder: Path) -> Path:
    """The built-in model with a further tensor of 2 GB, of which the disk holds nothing."""
    shutil.copytree(Path(alcove.__file__).parent / "builtin" / "alcove-seq2seq" / "ctranslate2", folder)
    weights = folder / "model.bin"
    content = weights.read_bytes()
    place = 4

    def number(kind: str) -> int:
        nonlocal place
        (found,) = struct.unpack_from(f"={kind}", content, place)
        place += struct.calcsize(kind)
        return int(found)

    def skip(kind: str) -> None:
        nonlocal place
        length = number(kind)
        place += length

    skip("H")  # the name of the specification
    number("I")
    at, variables = place, number("I")
    for _ in range(variables):
        skip("H")
        for _ in range(number("B")):
            number("I")
        number("B")
        skip("I")
    size, name = 2_000_000_000, b"unused\0"
    more = struct.pack("=H", len(name)) + name + struct.pack("=BIBI", 1, size, 1, size)
    with weights.open("wb") as file:
        file.write(content[:at] + struct.pack("=I", variables + 1) + content[at + 4 : place] + more)
        file.seek(size, 1)
        file.write(content[place:])
    return folder


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_a_model_for_which_there_is_no_memory_is_refused_in_one_line(tmp_path: Path, isolation: str) -> None:
    limit = 1_200_000_000
    started = subprocess.run(
        [sys.executable, "-m", "alcove", "serve", str(widened(tmp_path / "wide")), "--port", "0"],
        env=clean_environment(ALCOVE_ISOLATION=isolation, ALCOVE_LOG_LEVEL="error"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert started.returncode == 3
    assert "Traceback" not in started.stderr
    line = started.stderr.splitlines()[-1]
    assert line.startswith("alcove: model 'wide': there is not enough memory to load")
