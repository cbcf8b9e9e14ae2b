"""`alcove bench` as a person runs it: tables, files, exit codes, and no process left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

from alcove.cli.commands import app
from alcove.errors import ConfigurationError
from tests.serving import Server, clean_environment, heed_ctrl_c, running

DOCS = Path(__file__).parents[2] / "docs" / "bench.md"


def bench(cwd: Path, *arguments: str, cores: int | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alcove", "bench", *arguments]
    environment = clean_environment(NO_COLOR="1", **environ)
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The echo model, slow enough for its tokens to come one by one, and one that breaks; behind a key."""
    root = tmp_path_factory.mktemp("bench")
    (root / "alcove.toml").write_text(
        '[[model]]\nname = "echo"\nsource = "builtin:echo"\nengine_options = { delay_s = 0.002 }\n'
        '[[model]]\nname = "broken"\nsource = "builtin:echo"\nengine_options = { delay_s = 0.01, fail_after = 3 }\n'
    )
    with running("serve", cwd=root, environment={"ALCOVE_API_KEYS": "sk-echo"}) as server:
        yield server


def cells(output: str, row: str) -> list[str]:
    line = next(line for line in output.splitlines() if line.startswith(row))
    return re.split(r"\s{2,}", line.strip())[1:]


def test_a_url_with_table_json_and_plot(server: Server, tmp_path: Path) -> None:
    arguments = ["--clients", "1,4", "--requests", "12", "--max-tokens", "16", "--json", "b.json", "--plot", "b.svg"]
    ran = bench(tmp_path, server.url, *arguments, OPENAI_API_KEY="sk-echo")
    assert ran.returncode == 0, ran.stderr
    assert re.fullmatch(r" +1 client +4 clients *", ran.stdout.splitlines()[0])
    assert cells(ran.stdout, "requests ") == ["12", "12"]
    assert cells(ran.stdout, "failed") == ["0", "0"]
    assert cells(ran.stdout, "wrong texts") == ["0", "0"]
    assert "late" not in ran.stdout
    assert "1 client: 12 requests in" in ran.stderr
    report = json.loads((tmp_path / "b.json").read_text())
    assert "sk-echo" not in (tmp_path / "b.json").read_text()
    assert report["model"] == "echo"
    one, four = report["levels"]
    assert (one["completion_tokens"], one["wrong_texts"], one["tokens_are_chunks"]) == (12 * 16, 0, False)
    # 16 steps of 2 ms, one after the other
    assert one["gap_s"]["p50"] > 0.0015
    assert one["latency_s"]["p50"] > 0.03
    assert four["requests_per_s"] > one["requests_per_s"]
    for outcome in one["outcomes"]:
        assert outcome["sent_at"] < outcome["first_at"] < outcome["ended_at"]
    assert ElementTree.parse(tmp_path / "b.svg").getroot().tag.endswith("svg")


def test_arrivals_chats_and_whole_answers(server: Server, tmp_path: Path) -> None:
    arguments = [
        "--rate",
        "20",
        "--requests",
        "20",
        "--chat",
        "--whole",
        "--max-tokens",
        "2-8",
        "--prompt-tokens",
        "5-9",
    ]
    ran = bench(tmp_path, server.api, *arguments, "--key-env", "ECHO_KEY", ECHO_KEY="sk-echo")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "20 requests/s" in ran.stdout
    assert cells(ran.stdout, "first token") == ["-"]
    assert re.fullmatch(r"[\d.]+ m?s", cells(ran.stdout, "sent late, at most")[0])


def test_failures_are_told_and_fail(server: Server, tmp_path: Path) -> None:
    """One that breaks in the middle: a stream has begun by then, a whole answer has not."""
    arguments = ["--model", "broken", "--clients", "2", "--requests", "4", "--no-check", "--plot", "b.png"]
    streamed = bench(tmp_path, server.url, *arguments, OPENAI_API_KEY="sk-echo")
    whole = bench(tmp_path, server.url, *arguments, "--whole", OPENAI_API_KEY="sk-echo")
    assert streamed.returncode == whole.returncode == 1
    assert cells(whole.stdout, "failed") == ["4"]
    assert cells(whole.stdout, "wrong texts") == ["-"]
    assert "\n2 clients: 4 failed: an error in the stream: The server failed on this request" in streamed.stdout
    assert "\n2 clients: 4 failed: status 500: The server failed on this request" in whole.stdout
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


def test_a_wrong_key(server: Server, tmp_path: Path) -> None:
    ran = bench(tmp_path, server.url)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"alcove: {server.api}/models: status 401; --key-env names the variable that holds its key\n"
    named = bench(tmp_path, server.url, "--model", "echo", "--clients", "2", "--requests", "4")
    assert named.returncode == 1
    assert re.search(r"^2 clients: 4 failed: status 401: ", named.stdout, re.MULTILINE)


class _Mixed(BaseHTTPRequestHandler):
    """Answers right to one client, and with the other's text when two ask at once."""

    protocol_version = "HTTP/1.1"
    at_once = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        _Mixed.at_once += 1
        time.sleep(0.01)
        answer = json.dumps({"choices": [{"text": "mine" if _Mixed.at_once == 1 else "theirs"}]}).encode()
        time.sleep(0.01)
        _Mixed.at_once -= 1
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


def test_wrong_texts_are_told_and_fail(tmp_path: Path) -> None:
    mixed = ThreadingHTTPServer(("127.0.0.1", 0), _Mixed)
    threading.Thread(target=mixed.serve_forever, daemon=True).start()
    arguments = ["--model", "m", "--whole", "--clients", "1,4", "--requests", "16"]
    ran = bench(tmp_path, f"http://127.0.0.1:{mixed.server_port}", *arguments, "--json", "b.json")
    mixed.shutdown()
    mixed.server_close()
    assert ran.returncode == 1
    assert cells(ran.stdout, "failed") == ["0", "0"]
    alone, four = cells(ran.stdout, "wrong texts")
    assert alone == "0"
    assert int(four) > 4
    assert "4 clients: a text differs from the one alone, at character 0: 'theirs' for 'mine'" in ran.stdout
    assert "the server does not count tokens" in ran.stdout
    assert len(json.loads((tmp_path / "b.json").read_text())["differences"]) == int(four)


def test_a_model_is_served_and_stopped(tmp_path: Path) -> None:
    (tmp_path / "alcove.toml").write_text(
        '[server]\nhost = "0.0.0.0"\n[auth]\nkeys_env = "OTHER"\n[[model]]\nname = "e"\nsource = "builtin:echo"\n'
    )
    ran = bench(tmp_path, "alcove.toml", "--clients", "2", "--requests", "8", OPENAI_API_KEY="sk-of-openai")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not _servers_in(tmp_path)


def test_tune(tmp_path: Path) -> None:
    """On two cores, so that there are three pairs at most."""
    arguments = ["--tune", "--clients", "4", "--requests", "8", "--max-tokens", "8"]
    ran = bench(tmp_path, "builtin:alcove-seq2seq", *arguments, cores=2)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "best for 1 client" in ran.stdout
    assert "best for" in ran.stdout
    assert "4 clients: tokens/s" in ran.stdout
    assert re.search(r"^workers = \d+\nthreads = \d+$", ran.stdout, re.MULTILINE)
    assert ran.stderr.startswith("workers = 1, threads = 1\n1 client: 8 requests in ")
    assert not _servers_in(tmp_path)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_in_the_middle_it_leaves_no_server(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    (tmp_path / "alcove.toml").write_text(
        '[[model]]\nname = "e"\nsource = "builtin:echo"\nengine_options = { delay_s = 0.01 }\n'
    )
    arguments = ["bench", "alcove.toml", "--no-check", "--max-tokens", "10", "--requests", "9999"]
    measuring = subprocess.Popen(
        [sys.executable, "-m", "alcove", *arguments],
        cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=heed_ctrl_c,
    )  # fmt: skip
    assert measuring.stderr is not None
    assert measuring.stderr.readline().startswith("warming up: ")
    assert _servers_in(tmp_path)
    measuring.send_signal(sent)
    _, errors = measuring.communicate(timeout=10)
    assert measuring.returncode == code
    assert "Traceback" not in errors
    assert not _servers_in(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["org/absent"], 3, "org/absent: not a folder, and not pulled to this machine; get it with: alcove pull"),
        (["absent.toml"], 3, "absent.toml: no such file or folder, nor the name of a model"),
        (["http://127.0.0.1:9"], 2, "http://127.0.0.1:9/v1/models: cannot connect: "),
        (["builtin:echo", "--clients", "1", "--rate", "1"], 2, "--clients and --rate: give one of them"),
    ],
)
def test_an_error_is_one_line(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    ran = bench(tmp_path, *arguments)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert ran.stderr.startswith(f"alcove: {message}")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["builtin:echo", "--plot", "load.pdf"], "--plot: load.pdf: should end in .svg or .png"),
        (["builtin:echo", "--json", "absent/load.json"], "--json: absent/load.json: there is no such folder"),
        (["http://127.0.0.1:9", "--tune"], "--tune starts servers of its own: name a model, not a URL"),
        (["builtin:echo", "--tune", "--rate", "1"], "--tune compares 1 client with many, by default 32"),
        (["builtin:echo", "--max-tokens", "9-8"], "--max-tokens: should be at least 1, and a range go up"),
    ],
)
def test_options_that_do_not_fit(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        app(["bench", *arguments], standalone_mode=False)
    assert str(raised.value).startswith(message)


def test_without_matplotlib(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "sys.argv = ['alcove', 'bench', 'builtin:echo', '--plot', 'b.svg']\n"
        "from alcove.__main__ import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr == "alcove: --plot needs matplotlib: pip install 'alcove[bench]'\n"


def test_help_is_quick(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from alcove.cli.commands import app\n"
        "try: app(['bench', '--help'], prog_name='alcove')\n"
        "except SystemExit: pass\n"
        "assert not {'alcove.bench', 'httptools', 'uvloop', 'matplotlib', 'msgspec'} & sys.modules.keys()"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "alcove bench http://127.0.0.1:8000" in ran.stdout


def _servers_in(folder: Path) -> list[int]:
    """Processes of `alcove serve` that work in this folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        command = process.info["cmdline"] or []
        if process.info["cwd"] == os.path.realpath(folder) and "serve" in command:
            found.append(process.pid)
    return found


def test_the_page_says_what_happens(server: Server, tmp_path: Path) -> None:
    """The commands of docs/bench.md but the last, which is `test_tune`'s, and the table that it shows."""
    page = DOCS.read_text()
    by_url, served, arriving, tuning = re.findall(r"^alcove bench (.*)$", page, re.MULTILINE)
    assert "--tune" in tuning
    (shown,) = re.findall(r"^```text\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    key = {"OPENAI_API_KEY": "sk-echo"}
    address = by_url.replace("http://127.0.0.1:8000", server.url)
    assert bench(tmp_path, *address.split(), "--requests", "4", "--max-tokens", "4", **key).returncode == 0
    assert bench(tmp_path, *arriving.split(), **key).returncode == 0
    ran = bench(tmp_path, *served.split(), **key)
    expected = [line.split("…")[0].split() for line in shown.splitlines()]
    found = [line.split() for line in ran.stdout.splitlines()]
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected
