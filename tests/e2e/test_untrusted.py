"""Hostile templates, URLs and names against the real server: it opens nothing that ordinary ones do not open."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.raw import exchange, statuses
from tests.serving import Server, clean_environment, free_port, running

ROOT = Path(__file__).parents[2]
BOMBS = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "text": "{{ 'a' * 3000000000 }}",
    "computed": "{% set n = 99999 %}{% for a in range(n) %}{% for b in range(n) %}{% endfor %}{% endfor %}",
    "computed-text": "{% set n = 3000000000 %}{{ 'a'.ljust(n) }}",
}
ECHO = '[[model]]\nname = "echo"\nsource = "builtin:echo"\nengine = "echo"\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a good model, and one for each bomb."""
    folder = tmp_path_factory.mktemp("server")
    models = ECHO
    for name, bomb in BOMBS.items():
        (folder / f"{name}.jinja").write_text(bomb)
        models += f'[[model]]\nname = "{name}"\nsource = "builtin:echo"\nengine = "echo"\nload = "first_use"\n'
        models += f'prompt.chat_template = "{name}.jinja"\n'
    (folder / "alcove.toml").write_text(models)
    report = str(folder / "report")
    with running(report, "serve", cwd=folder, module="tests.audited", environment={"PYTHONPATH": str(ROOT)}) as server:
        for _ in range(2):  # what the first requests open is opened at rest
            good(server)
            server.post("/v1/chat/completions", {"model": "nobody", "messages": []})
            server.post("/v1/chat/completions", {"model": "nobody", "messages": [{"role": "user", "content": "Hi"}]})
            server.get("/v1/models/nobody")
            server.get("/nowhere")
        yield server


def good(server: Server) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "Hi {{7*7}}"}]}
    answer = server.post("/v1/chat/completions", body)
    assert answer.json()["choices"][0]["message"]["content"] == "Hi {{7*7}}"


def opened(server: Server) -> list[list[str]]:
    """What the server has opened so far."""
    return [[event, *what] for event, what in map(json.loads, (server.log.parent / "report").read_text().splitlines())]


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_fails_its_model_and_nothing_else(server: Server, name: str) -> None:
    begun = time.monotonic()
    answer = server.post("/v1/chat/completions", {"model": name, "messages": [{"role": "user", "content": "Hi"}]})
    assert time.monotonic() - begun < 10
    assert answer.status_code == 503
    assert "here" not in answer.json()["error"]["message"]
    lines = [line for line in server.log.read_text().splitlines() if "template is refused" in line and name in line]
    assert len(lines) == 1
    assert "Set prompt.chat_template" in lines[0]
    good(server)
    assert server.get("/health").status_code == 200


def test_a_lone_bomb_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "alcove.toml").write_text(f"{ECHO}prompt.chat_template = {BOMBS['computed']!r}\n")
    command = [sys.executable, "-m", "alcove", "serve", "--port", str(free_port())]
    begun = time.monotonic()
    ended = subprocess.run(
        command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert time.monotonic() - begun < 20
    assert ended.returncode == 3
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("alcove:")]
    assert "model echo: prompt.chat_template" in line
    assert "this chat template is refused: it counts further than 10000 (range)" in line


URLS = [
    "http://127.0.0.1:{port}/x.png",
    "https://example.org/x.png",
    "file:///etc/passwd",
    "data:image/png;base64,AAAA",
]
PARTS = [
    lambda url: {"type": "image_url", "image_url": {"url": url}},
    lambda url: {"type": "input_image", "image_url": url},
    lambda url: {"type": "audio_url", "audio_url": {"url": url}},
    lambda url: {"type": "video_url", "video_url": {"url": url}},
    lambda url: {"type": "file", "file": {"file_data": url}},
    lambda url: {"type": "text", "text": {"url": url}},
]


@pytest.mark.parametrize("url", URLS)
def test_no_url_is_fetched(server: Server, url: str) -> None:
    before = len(opened(server))
    url = url.format(port=server.url.rpartition(":")[2])
    for part in PARTS:
        body = {"model": "echo", "messages": [{"role": "user", "content": [part(url), {"type": "text", "text": "Hi"}]}]}
        answer = server.post("/v1/chat/completions", body)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"].startswith("messages[0].content")
    for extra in ({"chat_template": url}, {"chat_template_kwargs": {"tokenize": True}}, {"documents": [{"url": url}]}):
        body = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}], **extra}
        assert server.post("/v1/chat/completions", body).status_code == 400
    text = {"model": "echo", "messages": [{"role": "user", "content": f"See {url}"}]}
    assert server.post("/v1/chat/completions", text).json()["choices"][0]["message"]["content"] == f"See {url}"
    assert not _new(server, before)


SEEDS = [
    "../../../../etc/passwd", "..", ".", "/", "/etc/passwd", "//etc/passwd", "..\\..\\windows", "C:\\boot.ini", "~",
    "~root", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%2e", "%00", "\0", "a\0b", "echo\0", "echo/../../..", "./echo", "echo/",
    "ECHO", "echo%00.jinja", "builtin:echo", "builtin:../echo", "file:///etc/passwd", "http://127.0.0.1/x", "org/model",
    "org/model@main", "models--org--model", "a" * 4096, "../" * 1365, "\u202e../x", "\uff0e\uff0e/x", "e\u0301cho",
    "\U0001f40d", "\ufeffecho", " echo", "echo ", "echo\n", "\r\nx: y", "${HOME}", "$(id)", "`id`", "; id", "|id", "*",
    "nul", "con", "-rf", "--help", "{{7*7}}", "<script>", "'; drop table models; --", "\x7f", "\x1b[31m", "alcove.toml",
]  # fmt: skip
NAMES = [*SEEDS, *(f"{begin}{name}" for begin in ("../", "/", "%2e%2e/", "models/") for name in SEEDS[:38])]
BODIES = {"chat/completions": {"messages": [{"role": "user", "content": "Hi"}]}, "completions": {"prompt": "Hi"}}


def test_names_are_never_paths(server: Server) -> None:
    """200 and more in a body and in a path, as they are and quoted: 404 or 400, and nothing opened for any."""
    before = len(opened(server))
    assert len(NAMES) > 200
    assert before  # it is being watched
    with httpx.Client(base_url=server.api, timeout=30) as client:
        for name in NAMES:
            for path, body in BODIES.items():
                answer = client.post(path, json={"model": name, **body})
                assert answer.status_code in (400, 404), (name, answer.text)
                assert answer.json()["error"]["type"] == "invalid_request_error"
            plain = [name] if name.isascii() and name.isprintable() and " " not in name else []
            # Starlette's routes end before a newline at the end of a path: that is `echo`, and no path either
            for target in [] if name.endswith("\n") else [quote(name, safe=""), *plain]:
                assert _status(server, f"/v1/models/{target}") in (400, 404), target
    assert not _new(server, before)
    good(server)


def _status(server: Server, target: str) -> int:
    """Of a request for just this target, which no client has put in order."""
    sent = f"GET {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode()
    return statuses(exchange(int(server.url.rpartition(":")[2]), sent)[0])[0]


def _new(server: Server, before: int) -> list[list[str]]:
    """What has been opened since that had not been opened before."""
    seen = opened(server)
    return [entry for entry in seen[before:] if entry not in seen[:before]]
