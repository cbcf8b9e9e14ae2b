"""A model that is read anew while it answers: from a broken folder nothing changes, from a good one nothing is kept."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import psutil
import pytest

import alcove
from tests.serving import Server, running

BUILTIN = Path(alcove.__file__).parent / "builtin" / "alcove-seq2seq" / "ctranslate2"
ADMIN = {"authorization": "Bearer admin-0123456789abcdef"}
MODEL = '[[model]]\nname = "model"\nsource = "./model"\n'
STREAMS, RELOADS, WARM = 16, 10, 5
GROWTH = 1.25
"""By hand, with 50 reloads, it has to be below 1.05; a second copy of weights, texts and threads would be far more."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    shutil.copytree(BUILTIN, tmp_path / "model")
    (tmp_path / "alcove.toml").write_text(MODEL)
    with running("serve", cwd=tmp_path, environment={"ALCOVE_ADMIN_KEYS": ADMIN["authorization"][7:]}) as server:
        yield server


def reload(server: Server) -> tuple[int, str]:
    """The status, and the model's state afterwards."""
    response = server.post("/admin/models/model/reload", None, headers=ADMIN)
    assert response.status_code == 200 or "model.bin" in response.json()["error"]["message"]
    return response.status_code, server.get("/v1/models/model").json()["state"]


class Streams:
    """Clients that have one stream after another, until the block ends; a request that fails is raised then."""

    def __init__(self, server: Server) -> None:
        self.texts: list[str] = []
        self._failures: list[Exception] = []
        self._over = threading.Event()
        self._client = openai.OpenAI(base_url=server.api, api_key="-", max_retries=0)
        self._threads = [threading.Thread(target=self._ask) for _ in range(STREAMS)]

    def _ask(self) -> None:
        try:
            while not self._over.is_set():
                stream = self._client.completions.create(model="model", prompt="one two", max_tokens=8, stream=True)
                self.texts.append("".join(chunk.choices[0].text for chunk in stream))
        except (openai.OpenAIError, httpx.HTTPError) as error:
            self._failures.append(error)

    def __enter__(self) -> "Streams":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise ExceptionGroup("streams failed", self._failures)


def break_model(folder: Path) -> None:
    """Its weights are cut in the middle: another file in their place, as a failed copy would leave it."""
    weights = folder / "model" / "model.bin"
    half = weights.with_suffix(".half")
    half.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    os.replace(half, weights)


def test_a_broken_folder_leaves_the_old_model(server: Server, tmp_path: Path) -> None:
    alone = server.post("/v1/completions", {"prompt": "one two", "max_tokens": 8}).json()["choices"][0]["text"]
    assert alone
    break_model(tmp_path)
    with Streams(server) as streams:
        for _ in range(3):
            status, state = reload(server)
            assert (status, state) == (503, "ready")
        begun = len(streams.texts)
    assert len(streams.texts) >= begun + STREAMS, "they went on"
    assert set(streams.texts) == {alone}
    assert "Model 'model' cannot be loaded, and the old one stays: " in server.log.read_text()
    assert 'alcove:model_loads_total{model_name="model",outcome="failed"} 3.0' in server.get("/metrics").text
    shutil.copyfile(BUILTIN / "model.bin", tmp_path / "model" / "model.bin")
    assert reload(server) == (200, "ready")


def test_reloads_under_streams_keep_no_memory(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    with Streams(server) as streams:
        sizes = []
        for _ in range(WARM + RELOADS):
            assert reload(server) == (200, "ready")
            sizes.append(process.memory_info().rss)
    print(
        f"{sizes[WARM - 1] / 1e6:.1f} MB after {WARM} reloads, {sizes[-1] / 1e6:.1f} MB after {RELOADS} more; "
        f"{len(streams.texts)} streams"
    )
    assert len(streams.texts) > STREAMS
    assert len(set(streams.texts)) == 1
    assert sizes[-1] < GROWTH * sizes[WARM - 1]
