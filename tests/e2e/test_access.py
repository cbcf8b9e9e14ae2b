"""Keys in a real process: where it starts, what it tells, what SIGHUP changes, and who gets how much."""

import hashlib
import json
import os
import pty
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import openai
import psutil
import pytest

from tests.serving import Server, clean_environment, running

ECHO = '[[model]]\nname = "echo"\nsource = "builtin:echo"\nengine = "echo"\n'
KEY = "sk-Zq8vT1mXw5LkR2pYc7Hn"
OTHER = "sk-Jb4dG9sNf6QeV3uAi0Wo"
MEGABYTE = 1_000_000


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def status(server: Server, key: str) -> int:
    return server.get("/v1/models", headers=bearer(key)).status_code


def write_keys(folder: Path, *lines: str) -> Path:
    path = folder / "keys"
    path.touch(0o600)
    path.write_text("".join(line + "\n" for line in lines))
    return path


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "alcove.toml").write_text(ECHO)
    return tmp_path


class TestStart:
    @pytest.mark.parametrize(
        ("host", "arguments", "key", "code"),
        [
            ("127.0.0.1", [], None, None),
            ("127.0.0.1", [], KEY, None),
            ("::1", [], None, None),
            ("::1", [], KEY, None),
            ("0.0.0.0", [], KEY, None),
            ("0.0.0.0", ["--insecure-no-auth"], None, None),
            ("0.0.0.0", [], None, 2),
            ("0.0.0.0", [], " , ", 2),
            ("::", [], None, 2),
            ("127.0.0.1", ["--keys-file", "absent"], None, 2),
        ],
    )
    def test_where_it_starts(
        self, folder: Path, host: str, arguments: list[str], key: str | None, code: int | None
    ) -> None:
        if ":" in host and not socket.has_dualstack_ipv6():
            pytest.skip("this machine has no IPv6")
        command = [sys.executable, "-m", "alcove", "serve", "--host", host, "--port", "0", *arguments]
        environment = clean_environment(**({} if key is None else {"ALCOVE_API_KEYS": key}))
        with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                lines = []
                for line in process.stderr:
                    lines.append(line)
                    if found := re.search(r"Listening on http://(\S+):(\d+)", line):
                        address = "127.0.0.1" if host == "0.0.0.0" else found[1]
                        answer = httpx.get(f"http://{address}:{found[2]}/v1/models")
                        assert answer.status_code == (200 if key is None else 401)
                        process.terminate()
                assert process.wait(20) == (code or 0)
                assert code is None or (len(lines) == 1 and lines[0].startswith("alcove: "))
            finally:
                process.kill()


class TestSecrets:
    def test_a_key_is_told_nowhere(self, folder: Path) -> None:
        keys = write_keys(folder, KEY, f"ann = sha256:{hashlib.sha256(OTHER.encode()).hexdigest()}")
        (folder / "alcove.toml").write_text('[server]\nlog_level = "debug"\n' + ECHO)
        wrong = "sk-Ku5xM8rBt2ZcD7oPw1Ey"
        with running("serve", "--keys-file", str(keys), cwd=folder) as server:
            told = Path(f"/proc/{server.process.pid}/cmdline").read_text()
            for key in (KEY, OTHER, wrong):
                for path in ("/metrics", "/v1/metrics", "/v1/models", "/nothing", "/admin/models", "/v1/models/absent"):
                    told += server.get(path, headers=bearer(key)).text
                told += server.post("/v1/completions", {"prompt": 1}, headers=bearer(key)).text
                told += server.get("/v1/models", headers={"authorization": f"Basic {key}"}).text
            checked = subprocess.run(
                [sys.executable, "-m", "alcove", "check"], cwd=folder, capture_output=True, text=True,
                env=clean_environment(ALCOVE_API_KEYS=KEY, ALCOVE_KEYS_FILE=str(keys)),
            )  # fmt: skip
            log = server.log.read_text()
        told += checked.stdout + checked.stderr + log
        callers = {json.loads(line).get("caller") for line in log.splitlines()}
        assert callers == {None, "key-1", "ann"}, "the log names a key by its name"
        for key in (KEY, OTHER, wrong):
            parts = {key[at : at + 8] for at in range(len(key) - 7)}
            assert not {part for part in parts if part in told}

    def test_a_made_key_opens_by_its_line(self, folder: Path) -> None:
        made = subprocess.run(
            [sys.executable, "-m", "alcove", "key", "ann"], capture_output=True, text=True, check=True
        )
        found = re.fullmatch(r"The key, .*: +(sk-\S{43})\nIts line .*: +(ann = sha256:[0-9a-f]{64})\n", made.stdout)
        assert found
        keys = write_keys(folder, found[2])
        with running("serve", "--keys-file", str(keys), cwd=folder) as server:
            assert [status(server, key) for key in (found[1], found[2].removeprefix("ann = "), "ann")] == [
                200,
                401,
                401,
            ]

    def test_a_name_that_is_none(self, folder: Path) -> None:
        made = subprocess.run([sys.executable, "-m", "alcove", "key", "a b"], capture_output=True, text=True)
        assert (made.returncode, made.stderr.count("\n")) == (2, 1)
        assert made.stderr.startswith("alcove: NAME: should be")


class TestHangUp:
    """SIGHUP reads the keys again."""

    def test_keys_change_and_stay_when_they_are_wrong(self, folder: Path) -> None:
        keys = write_keys(folder, KEY)
        with running("serve", "--keys-file", str(keys), cwd=folder) as server:
            assert (status(server, KEY), status(server, OTHER)) == (200, 401)
            write_keys(folder, f"ann = {OTHER}")
            server.process.send_signal(signal.SIGHUP)
            until(lambda: status(server, OTHER) == 200)
            assert status(server, KEY) == 401
            wrong = [
                ("", 0o600, "holds no key"),
                ("two words\n", 0o600, "line 1: "),
                (f"{KEY}\n", 0o644, "mode is 0644"),
            ]
            for number, (text, mode, reason) in enumerate(wrong, 1):
                keys.write_text(text)
                keys.chmod(mode)
                server.process.send_signal(signal.SIGHUP)
                until(lambda number=number: server.log.read_text().count("The keys stay as they are") == number)
                assert reason in server.log.read_text()
                assert (status(server, OTHER), status(server, KEY)) == (200, 401)
            keys.unlink()
            server.process.send_signal(signal.SIGHUP)
            until(lambda: server.log.read_text().count("The keys stay as they are") == 4)
            assert status(server, OTHER) == 200

    def test_the_last_key_cannot_be_taken_away(self, folder: Path) -> None:
        write_keys(folder, KEY)
        (folder / "alcove.toml").write_text('[auth]\nkeys_file = "keys"\n' + ECHO)
        with running("serve", cwd=folder) as server:
            (folder / "alcove.toml").write_text(ECHO)
            server.process.send_signal(signal.SIGHUP)
            until(lambda: "the last key is gone" in server.log.read_text())
            assert (status(server, KEY), status(server, OTHER)) == (200, 401)

    def test_tokens_of_a_forerunners_file(self, folder: Path) -> None:
        def configure(token: str) -> None:
            model = {"NAME": "builtin:alcove-chat", "TYPE": "CausalLM", "MODEL_DEVICE": "cpu"}
            (folder / "config.json").write_text(json.dumps({"BEARER_TOKENS": [token], "MODELS": {"m": model}}))

        (folder / "alcove.toml").unlink()
        configure(KEY)
        with running("serve", cwd=folder) as server:
            configure(OTHER)
            server.process.send_signal(signal.SIGHUP)
            until(lambda: status(server, OTHER) == 200)
            assert status(server, KEY) == 401

    @pytest.mark.parametrize("arguments", [("alcove", "serve", "--reload"), ("uvicorn", "alcove.asgi:app")])
    def test_under_a_reloader_and_another_server(self, folder: Path, arguments: tuple[str, ...]) -> None:
        keys = write_keys(folder, KEY)
        module, *rest = arguments
        with running(*rest, cwd=folder, module=module, environment={"ALCOVE_KEYS_FILE": str(keys)}) as server:
            write_keys(folder, OTHER)
            server.process.send_signal(signal.SIGHUP)
            until(lambda: status(server, OTHER) == 200)
            assert status(server, KEY) == 401

    @pytest.mark.parametrize("arguments", [(), ("--reload",)])
    def test_a_closed_terminal_stops_it(self, folder: Path, arguments: tuple[str, ...]) -> None:
        ours, its = pty.openpty()
        command = [sys.executable, "-m", "alcove", "serve", "--port", "0", *arguments]
        with subprocess.Popen(
            command, cwd=folder, env=clean_environment(), stderr=its, start_new_session=True
        ) as process:
            try:
                os.close(its)
                told = b""
                while b"Listening on" not in told:
                    told += os.read(ours, 4096)
                os.close(ours)
                children = psutil.Process(process.pid).children(recursive=True)
                os.killpg(process.pid, signal.SIGHUP)
                process.wait(10)
                assert not psutil.wait_procs(children, timeout=10)[1]
            finally:
                process.kill()


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each test has keys of its own, which nobody has used."""
    folder = tmp_path_factory.mktemp("limited")
    limits = "[auth]\nkey_concurrency = 2\nkey_requests_per_minute = 500\nkey_tokens_per_minute = 2000\n"
    slow = ECHO.replace('"echo"', '"slow"', 1) + "engine_options = { delay_s = 0.01 }\nworkers = 2\n"
    (folder / "alcove.toml").write_text(limits + ECHO + slow)
    keys = ",".join(f"k{number} = sk-{number}" for number in range(9))
    with running("serve", cwd=folder, environment={"ALCOVE_API_KEYS": keys}) as server:
        yield server


class TestLimits:
    def test_tokens(self, limited: Server) -> None:
        client = openai.OpenAI(base_url=limited.api, api_key="sk-1", max_retries=0)
        used = 0
        while used < 2000:
            usage = client.completions.create(model="echo", prompt="x" * 300, max_tokens=300).usage
            assert usage is not None
            used += usage.total_tokens
        with pytest.raises(openai.RateLimitError) as caught:
            client.completions.create(model="echo", prompt="x")
        assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "rate_limit_error")
        assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
        assert client.models.list().data, "looking is free"
        other = openai.OpenAI(base_url=limited.api, api_key="sk-2", max_retries=0)
        assert other.completions.create(model="echo", prompt="x").choices[0].text == "x"

    def test_tokens_of_a_stream_that_nobody_reads_to_the_end_count(self, limited: Server) -> None:
        client = openai.OpenAI(base_url=limited.api, api_key="sk-3", max_retries=0)
        answered = 0
        while answered < 50:
            try:
                stream = client.completions.create(model="slow", prompt="x" * 300, max_tokens=300, stream=True)
            except openai.RateLimitError:
                break
            answered += 1
            with stream:
                next(iter(stream))
            time.sleep(0.1)  # that the client has left is seen a moment later
        assert 5 <= answered < 50

    def test_requests_at_a_time(self, limited: Server) -> None:
        clients = [openai.OpenAI(base_url=limited.api, api_key="sk-4", max_retries=0) for _ in range(3)]
        open_ = [c.completions.create(model="slow", prompt="x" * 200, max_tokens=200, stream=True) for c in clients[:2]]
        with pytest.raises(openai.RateLimitError, match="2 requests at a time") as caught:
            clients[2].completions.create(model="echo", prompt="x")
        assert caught.value.response.headers["retry-after"] == "1"
        for stream in open_:
            stream.close()
        until(lambda: clients[2].with_options(max_retries=2).completions.create(model="echo", prompt="x").choices != [])

    def test_one_who_floods_leaves_the_others_theirs(self, limited: Server) -> None:
        body = {"model": "slow", "prompt": "abcd", "max_tokens": 4}

        def median_s() -> float:
            times = []
            with httpx.Client(base_url=limited.url, headers=bearer("sk-5"), timeout=30) as client:
                for _ in range(15):
                    begun = time.monotonic()
                    assert client.post("/v1/completions", json=body).status_code == 200
                    times.append(time.monotonic() - begun)
            return statistics.median(times)

        idle = median_s()
        over, refused = threading.Event(), []

        def flood() -> None:
            with httpx.Client(base_url=limited.url, headers=bearer("sk-6"), timeout=30) as client:
                while not over.is_set():
                    refused.append(client.post("/v1/completions", json=body).status_code == 429)

        threads = [threading.Thread(target=flood) for _ in range(6)]
        for thread in threads:
            thread.start()
        try:
            flooded = median_s()
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert sum(refused) > 50
        assert flooded < 5 * idle + 0.1


def test_a_large_body_with_a_wrong_key_is_not_kept(folder: Path) -> None:
    with running("serve", cwd=folder, environment={"ALCOVE_API_KEYS": KEY}) as server:
        process = psutil.Process(server.process.pid)
        before = process.memory_info().rss
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        with socket.create_connection(address, timeout=10) as connection:
            head = f"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {OTHER}\r\n"
            connection.sendall(f"{head}content-length: {64 * MEGABYTE}\r\n\r\n".encode())
            assert connection.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 401", "before any of the body is sent"
            try:
                for _ in range(64):
                    connection.sendall(b"x" * MEGABYTE)
            except OSError:
                pass  # the server need not read it
        assert process.memory_info().rss - before < 5 * MEGABYTE
        assert status(server, KEY) == 200
