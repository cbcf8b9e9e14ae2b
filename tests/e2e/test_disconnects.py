"""Clients that leave at every stage of a request, by FIN and by RST: their places are free within a second, and the
answers of all others are exact."""

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import Server, running

STEP_S = 0.02
CONFIGURATION = f"""
[[model]]
name = "slow"
source = "builtin:echo"
engine = "echo"
max_queue = 1
max_batch_size = 1
engine_options = {{ delay_s = {STEP_S} }}
[[model]]
name = "reading"
source = "builtin:echo"
engine = "echo"
max_queue = 0
engine_options = {{ delay_s = 0.5 }}
[[model]]
name = "many"
source = "builtin:echo"
engine = "echo"
max_queue = 256
engine_options = {{ delay_s = 0.002 }}
"""
LONG = 4000
RESET = b"\1\0\0\0\0\0\0\0"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("server")
    (folder / "alcove.toml").write_text(CONFIGURATION)
    with running("serve", cwd=folder) as server:
        yield server


def send(server: Server, fields: dict[str, object], *, all_of_it: bool = True) -> socket.socket:
    body = json.dumps(fields).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(
        body
    )
    connection = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30)
    connection.sendall(head + (body if all_of_it else body[: len(body) // 2]))
    return connection


def leave(connection: socket.socket, *, reset: bool) -> None:
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def begun(connection: socket.socket) -> None:
    """Wait until the answer's first bytes are there, without taking them."""
    assert connection.recv(12, socket.MSG_PEEK | socket.MSG_WAITALL) == b"HTTP/1.1 200"


def freed_after(server: Server, model: str) -> float:
    """How long until a request is taken that was refused before."""
    left = time.monotonic()
    while server.post("/v1/completions", {"model": model, "prompt": "x", "max_tokens": 1}).status_code == 503:
        assert time.monotonic() - left < 10, "the place was not freed"
        time.sleep(0.01)
    return time.monotonic() - left


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_client_that_leaves_while_it_waits_in_the_queue(server: Server, stream: bool, reset: bool) -> None:
    """The queue has one place: it is free again, and who was running before is not disturbed."""
    prompt = "abc" * 33
    first = send(server, {"model": "slow", "prompt": prompt, "max_tokens": 99, "stream": True})
    begun(first)
    waiting = send(server, {"model": "slow", "prompt": "x" * LONG, "max_tokens": LONG, "stream": stream})
    time.sleep(0.3)
    asked = {"model": "slow", "prompt": "x", "max_tokens": 1}
    assert server.post("/v1/completions", asked).status_code == 503, "the queue is full"
    leave(waiting, reset=reset)
    time.sleep(0.3)
    with send(server, {**asked, "prompt": "y"}) as next_one:
        assert text_of_stream(first) == prompt, "the one that was running"
        answer = b"".join(iter(lambda: next_one.recv(65536), b""))
        assert b'"text":"y"' in answer, "the freed place is another's"


def text_of_stream(connection: socket.socket) -> str:
    with connection:
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    assert raw.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    lines = [line[6:] for line in raw.decode().splitlines() if line.startswith("data: {")]
    return "".join(choice["text"] for line in lines for choice in json.loads(line)["choices"])


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("stage", ["half a body", "before the first token", "whole", "streamed"])
def test_a_client_that_leaves_frees_its_place(server: Server, stage: str, reset: bool) -> None:
    """Before the first token the engine is in a step that nothing can cut short, of half a second here."""
    model = "reading" if stage == "before the first token" else "slow"
    fields = {"model": model, "prompt": "x" * LONG, "max_tokens": LONG, "stream": stage != "whole"}
    connection = send(server, fields, all_of_it=stage != "half a body")
    if stage == "streamed":
        begun(connection)
    else:
        time.sleep(0.2)
    fillers = []
    if model == "slow" and stage != "half a body":  # the one place in the queue
        fillers.append(send(server, {**fields, "stream": True}))
        time.sleep(0.1)
        assert server.post("/v1/completions", {"model": model, "prompt": "x"}).status_code == 503
    for filler in fillers:
        leave(filler, reset=reset)
    leave(connection, reset=reset)
    assert freed_after(server, model) < 1.5


def test_those_who_stay_get_exact_answers(server: Server) -> None:
    """Eight who stay beside eight who leave at any moment; each has a text of its own."""
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
            connection = send(server, fields, all_of_it=chance.random() < 0.9)
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
