"""Clients that leave at each of six stages of a request, by FIN and by RST: their places are free within a second, and
the answers of all others are exact. Four of each leave; `HYPOTHESIS_PROFILE=long` makes them 200."""

import json
import random
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx
import pytest
from hypothesis import settings

from tests import every_error
from tests.serving import Server, running

TIMES = settings.default.max_examples // 25
STEP_S, READING_S = 0.02, 0.1
LONG = 4000


def model(name: str, delay_s: float, *lines: str) -> str:
    """An echo model with one place: a second request is refused, but for those that may wait in a queue."""
    head = f'[[model]]\nname = "{name}"\nsource = "builtin:echo"\nengine_options = {{ delay_s = {delay_s} }}\n'
    return head + "".join(f"{line}\n" for line in lines)


ONE = ("max_batch_size = 1", "max_queue = 0")
MANY = model("many", 0.002, "max_queue = 256")
WIDE = [
    model("late", 0, 'load = "first_use"', "max_queue = 1"),
    model("queueing", STEP_S, "max_batch_size = 1", "max_queue = 1"),
    model("reading", READING_S, *ONE),
    model("writing", STEP_S, *ONE),
    MANY,
]
NARROW = ["[server]\nmax_connections = 2\n", MANY]
"""One connection is the bystander's."""


@dataclass(frozen=True)
class Stage:
    """Where in its request a client leaves, and what it has a place of."""

    model: str
    server: Literal["wide", "narrow"] = "wide"
    sent: Literal["half the head", "half the body", "all"] = "all"


STAGES = {
    "in the head": Stage("many", "narrow", "half the head"),
    "in the body": Stage("many", "narrow", "half the body"),
    "while the model is loaded": Stage("late"),
    "in the queue": Stage("queueing"),
    "before the first token": Stage("reading"),
    "while it is answered": Stage("writing"),
}


@dataclass
class Watched:
    """A server, and what a bystander found who asks it all the time, over one connection."""

    server: Server
    asked: int = 0
    wrong: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        with httpx.Client(base_url=self.server.api, timeout=60) as client:
            while not self.over.wait(STEP_S):
                text = f"<{self.asked}>" * 8
                answer = client.post("/completions", json={"model": "many", "prompt": text, "max_tokens": 200})
                if answer.status_code != 200 or answer.json()["choices"][0]["text"] != text:
                    self.wrong.append(answer.text)
                self.asked += 1

    def goes_on(self) -> bool:
        """Whether one more is answered that is asked from now on; waits for it."""
        wanted, begun_at = self.asked + 2, time.monotonic()
        while self.asked < wanted and time.monotonic() - begun_at < 10:
            time.sleep(STEP_S)
        return self.asked >= wanted


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Watched]]:
    with ExitStack() as stack:
        found = {}
        for name, tables in (("wide", WIDE), ("narrow", NARROW)):
            folder: Path = tmp_path_factory.mktemp(name)
            (folder / "alcove.toml").write_text("\n".join(tables))
            server = stack.enter_context(
                running(
                    "serve",
                    cwd=folder,
                    module="tests.e2e.slow_loading",
                    environment={"PYTHONPATH": str(Path(__file__).parents[2])},
                )
            )
            found[name] = watched = Watched(server)
            thread = threading.Thread(target=watched.ask)
            thread.start()
            stack.callback(thread.join)
            stack.callback(watched.over.set)
            stack.callback((folder / "go").touch)
            assert watched.goes_on()
        yield found


def send(server: Server, fields: dict[str, object], sent: str = "all") -> socket.socket:
    body = json.dumps(fields).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(
        body
    )
    connection = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30)
    size = {"half the head": len(head) // 2, "half the body": len(head) + len(body) // 2}
    connection.sendall((head + body)[: size.get(sent)])
    return connection


def leave(connection: socket.socket, *, reset: bool) -> None:
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def begun(connection: socket.socket) -> None:
    """Wait until the answer's first bytes are there, without taking them."""
    assert connection.recv(12, socket.MSG_PEEK | socket.MSG_WAITALL) == b"HTTP/1.1 200"


def refused(connection: socket.socket) -> bool:
    """Whether there is an answer that says so; then the connection is closed."""
    if not select.select([connection], [], [], 0)[0] or connection.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200":
        return False
    answer = b""
    with connection, suppress(ConnectionResetError):  # what it does not read anyway comes back as a reset
        while data := connection.recv(65536):
            answer += data
    every_error.see_raw(answer)
    assert answer.startswith(b"HTTP/1.1 503 ")
    return True


def enter(server: Server, fields: dict[str, object], sent: str) -> socket.socket:
    """Take the place as soon as it is free: ask until one is not refused though the next is."""
    connection = send(server, fields, sent)
    begun_at = time.monotonic()
    while time.monotonic() - begun_at < 10:
        following = send(server, fields, sent)
        select.select([connection, following], [], [], 10)
        if refused(connection):
            connection = following
            time.sleep(STEP_S / 4)
        elif refused(following):
            return connection
        else:  # the answer to the first has begun
            select.select([following], [], [], 10)
            assert refused(following)
            return connection
    raise AssertionError("the place was not freed")


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_client_that_leaves_frees_its_place(
    servers: dict[str, Watched], stage: str, stream: bool, reset: bool
) -> None:
    """Before the first token the engine is in a step that nothing can cut short, `READING_S` here. Times are until
    another has the place for certain."""
    name, watched, sent = STAGES[stage].model, servers[STAGES[stage].server], STAGES[stage].sent
    fields = {"model": name, "prompt": "abc" * (LONG // 3), "max_tokens": LONG, "stream": stream}
    chance, times = random.Random(stage), []
    if stage == "in the queue":
        running_one = send(watched.server, {**fields, "stream": True})
        begun(running_one)
    connection = enter(watched.server, fields, sent)
    for _ in range(TIMES):
        if stage == "while it is answered":
            begun(connection) if stream else time.sleep(2 * STEP_S)
        time.sleep(chance.uniform(0, STEP_S))
        leave(connection, reset=reset)
        left_at = time.monotonic()
        connection = enter(watched.server, fields, sent)
        times.append(time.monotonic() - left_at)
    leave(connection, reset=reset)
    if stage == "in the queue":
        text = text_so_far(running_one)
        assert text
        assert fields["prompt"].startswith(text), "the one that was running"
    print(f"{stage}: {len(times)} free after {max(times) * 1000:.0f} ms at most")
    assert max(times) < 1
    assert watched.goes_on()
    assert watched.wrong == []
    assert "Traceback" not in watched.server.log.read_text()


def text_so_far(connection: socket.socket) -> str:
    """What has come of a stream, which is left."""
    with connection:
        raw = connection.recv(1 << 20)
    lines = [line[6:] for line in raw.decode().split("\n")[:-1] if line.startswith("data: {")]
    return "".join(choice["text"] for line in lines for choice in json.loads(line)["choices"])


def test_a_model_that_all_have_left_while_it_was_loaded_answers(servers: dict[str, Watched]) -> None:
    server = servers["wide"].server
    (server.log.parent / "go").touch()
    answer = server.post("/v1/completions", {"model": "late", "prompt": "abc"})
    assert answer.json()["choices"][0]["text"] == "abc"


def test_those_who_stay_get_exact_answers(servers: dict[str, Watched]) -> None:
    """Eight who stay beside eight who leave at any moment; each has a text of its own."""
    server = servers["wide"].server
    wrong: list[str] = []
    over = threading.Event()

    def stay(number: int) -> None:
        for turn in range(12):
            text = f"<{number}-{turn}>" * 8
            answer = server.post("/v1/completions", {"model": "many", "prompt": text, "max_tokens": 200})
            if answer.status_code != 200 or answer.json()["choices"][0]["text"] != text:
                wrong.append(answer.text)

    def leave_often(number: int) -> None:
        chance = random.Random(number)
        while not over.is_set():
            fields = {"model": "many", "prompt": f"gone-{number}" * 20, "max_tokens": 500}
            fields["stream"] = chance.random() < 0.6
            connection = send(server, fields, "all" if chance.random() < 0.9 else "half the body")
            time.sleep(chance.random() * 0.05)
            leave(connection, reset=chance.random() < 0.5)

    staying = [threading.Thread(target=stay, args=(number,)) for number in range(8)]
    leaving = [threading.Thread(target=leave_often, args=(number,)) for number in range(8)]
    for thread in staying + leaving:
        thread.start()
    for thread in staying:
        thread.join()
    over.set()
    for thread in leaving:
        thread.join()
    assert wrong == []
    assert freed_after(server, "many") < 1
    assert "Traceback" not in server.log.read_text()


def freed_after(server: Server, model: str) -> float:
    """How long until a request is taken that was refused before."""
    left = time.monotonic()
    while server.post("/v1/completions", {"model": model, "prompt": "x", "max_tokens": 1}).status_code == 503:
        assert time.monotonic() - left < 10, "the place was not freed"
        time.sleep(0.01)
    return time.monotonic() - left
