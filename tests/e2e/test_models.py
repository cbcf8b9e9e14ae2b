"""Several models in a real server: loaded when they are needed, unloaded when they are idle or in the way."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import openai
import psutil
import pytest

from tests.serving import Server, running

ADMIN = {"authorization": "Bearer admin-0123456789abcdef"}
SEVERAL = """
[server]
load_timeout_s = 30

[[model]]
name = "at-start"
source = "builtin:alcove-seq2seq"
default = true

[[model]]
name = "later"
source = "builtin:alcove-chat"
aliases = ["org/later"]
load = "first_use"
ttl_s = 1.5

[[model]]
name = "broken"
source = "./broken"

[[model]]
name = "slow"
source = "builtin:echo"
engine = "echo"
engine_options = { delay_s = 0.02 }
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("several")
    (folder / "broken").mkdir()
    (folder / "broken" / "model.bin").write_bytes(b"\0" * 100)
    (folder / "broken" / "config.json").write_text("{}")
    (folder / "alcove.toml").write_text(SEVERAL)
    with running("serve", cwd=folder, environment={"ALCOVE_ADMIN_KEYS": ADMIN["authorization"][7:]}) as server:
        yield server


def shown(server: Server, name: str) -> dict[str, object]:
    return server.get(f"/v1/models/{name}").json()


def until(true: Callable[[], bool], *, within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def complete(server: Server, model: str, prompt: str = "hi") -> httpx.Response:
    return server.post("/v1/completions", {"model": model, "prompt": prompt, "max_tokens": 8})


def test_models_tell_their_state(server: Server) -> None:
    about = shown(server, "at-start")
    assert (about["state"], about["kind"], about["engine"]) == ("ready", "seq2seq", "ctranslate2")
    assert isinstance(about["max_model_len"], int)
    later = shown(server, "later")
    assert (later["kind"], later["aliases"]) == ("causal", ["org/later"]), "known without its weights"
    listed = openai.OpenAI(base_url=server.api, api_key="-").models.list()
    assert [model.id for model in listed] == ["at-start", "later", "broken", "slow"]


def test_a_broken_model_does_not_stop_the_others(server: Server) -> None:
    assert shown(server, "broken")["state"] == "failed"
    response = complete(server, "broken")
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (503, "model_unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert str(server.log.parent) not in error["message"]
    assert complete(server, "at-start").status_code == 200
    assert "model.bin" in server.log.read_text()


def test_a_model_is_loaded_at_its_first_request_and_unloaded_when_idle(server: Server) -> None:
    until(lambda: shown(server, "later")["state"] == "absent")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(complete(server, "org/later"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 4
    assert shown(server, "later")["state"] == "ready"
    until(lambda: shown(server, "later")["state"] == "absent")
    assert complete(server, "later").status_code == 200, "and again"


def test_models_are_managed_with_keys_of_their_own(server: Server) -> None:
    assert server.get("/admin/models").status_code == 401
    models = {model["id"]: model for model in server.get("/admin/models", headers=ADMIN).json()["data"]}
    assert models["at-start"]["memory_bytes"] > 0
    assert "model.bin" in models["broken"]["reason"]
    loaded = server.post("/admin/models/later/load", None, headers=ADMIN).json()
    assert loaded["state"] == "ready"
    assert server.post("/admin/models/later/unload", None, headers=ADMIN).json()["state"] == "absent"
    assert server.post("/admin/models/broken/load", None, headers=ADMIN).status_code == 503
    assert server.post("/admin/models/nobody/load", None, headers=ADMIN).status_code == 404


def test_a_reload_fails_no_request(server: Server) -> None:
    """Streams from before it end, those that come meanwhile begin."""
    texts: list[str] = []
    reloads = 5
    done = threading.Event()

    def ask() -> None:
        client = openai.OpenAI(base_url=server.api, api_key="-", max_retries=0)
        while not done.is_set():
            stream = client.completions.create(model="slow", prompt="reload me", max_tokens=16, stream=True)
            texts.append("".join(chunk.choices[0].text for chunk in stream))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(reloads):
        assert server.post("/admin/models/slow/reload", None, headers=ADMIN).json()["state"] == "ready"
        time.sleep(0.2)
    done.set()
    for thread in threads:
        thread.join()
    assert len(texts) >= 8
    assert set(texts) == {"reload me"}


def test_room_is_made_by_unloading_who_is_idle_longest(tmp_path: Path) -> None:
    model = '[[model]]\nname = "{}"\nsource = "builtin:alcove-seq2seq"\nload = "first_use"\n'
    at_rest = _resident(tmp_path, "")
    limit = at_rest + 60 * 2**20  # room for two that expect 27 MiB each
    server_table = f"[server]\nmemory_limit = {limit}\n"
    (tmp_path / "alcove.toml").write_text(server_table + "".join(model.format(name) for name in "abc"))
    with running("serve", cwd=tmp_path) as server:
        for name in "abcab":
            response = complete(server, name)
            assert response.status_code == 200, response.text
        states = {name: shown(server, name)["state"] for name in "abc"}
    assert list(states.values()).count("absent") >= 1
    assert states["b"] == "ready", "the latest stays"
    assert "to make room for" in server.log.read_text()


def test_what_can_never_fit_is_refused_with_the_numbers(tmp_path: Path) -> None:
    (tmp_path / "alcove.toml").write_text(
        '[server]\nmemory_limit = "20MiB"\n[[model]]\nname = "big"\nsource = "builtin:alcove-seq2seq"\n'
    )
    with (
        pytest.raises(RuntimeError, match=r"needs about 2\d MiB, but 20 MiB is the limit"),
        running("serve", cwd=tmp_path),
    ):
        pass


def test_memory_comes_back_after_each_unload(server: Server) -> None:
    process = psutil.Process(server.process.pid)

    def cycle() -> int:
        complete(server, "later")
        server.post("/admin/models/later/unload", None, headers=ADMIN)
        return process.memory_info().rss

    warm = [cycle() for _ in range(5)][-1]
    after = [cycle() for _ in range(15)][-1]
    assert after - warm < 0.05 * warm


def _resident(folder: Path, more: str) -> int:
    """Memory of a server that has loaded nothing."""
    (folder / "alcove.toml").write_text(
        more + '[[model]]\nname = "a"\nsource = "builtin:alcove-seq2seq"\nload = "first_use"\n'
    )
    with running("serve", cwd=folder) as server:
        json.loads(server.get("/v1/models").text)
        return psutil.Process(server.process.pid).memory_info().rss
