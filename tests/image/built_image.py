"""Builds the image and a child of it, and tries them: `make image-test`. No part of `make test`: it takes minutes."""

import json
import os
import shutil
import stat
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import openai
import pytest

import alcove
from alcove.config.settings import ServerSettings
from tests.fakehub import FakeHub
from tests.image.builder import ROOT, Builder, check_machine
from tests.image.container import Container, container, wait_for
from tests.image.package_index import PASSWORD, pip_setting, private_index
from tests.serving import free_port

MODEL = "MBZUAI/LaMini-Tiny"
KEY = "sk-image-0123456789"
USER = 10001
WEIGHTS = Path(alcove.__file__).parent / "builtin" / "alcove-seq2seq" / "ctranslate2"
QUESTION = "What's the first name of the secret agent Bond?"


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    check_machine()
    builder = Builder(tmp_path_factory.mktemp("buildah"))
    yield builder
    builder.close()


@pytest.fixture(scope="session")
def image(builder: Builder) -> str:
    """The base image, built from an index with a password and, where this machine has one, a certificate of its own."""
    builder.make_base("localhost/base", "python3-venv,ca-certificates")
    builder.make_base("localhost/build-base", "python3-venv,binutils")
    certificate = pip_setting("cert")
    with private_index() as (url, asked):
        variables = {"PIP_CERT": certificate} if certificate else {}
        builder.make("build", BASE="localhost/base", BUILD_BASE="localhost/build-base", PIP_INDEX_URL=url, **variables)
    assert any("ctranslate2" in path for path in asked)
    return "alcove"


@pytest.fixture(scope="session")
def child(builder: Builder, image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A child image with an artifact folder of ctranslate2-fastapi, which only root may read on this machine."""
    folder = tmp_path_factory.mktemp("artifacts") / MODEL
    shutil.copytree(WEIGHTS, folder)
    bootstrap = {"name": "LaMini-Tiny", "params": 2, "quantization": "int8", "max_tokens": 128}
    (folder / "bootstrap_config.json").write_text(json.dumps(bootstrap))
    for path in folder.iterdir():
        path.chmod(0o600)
    folder.chmod(0o700)
    builder.make("inject", IMAGE=image, MODEL_NAME=MODEL, MODEL_DIR=str(folder))
    return "ct2-model"


@pytest.fixture(scope="session")
def root(builder: Builder, image: str) -> Path:
    return builder.root(image)


@pytest.fixture(scope="session")
def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if not path.is_symlink()]


@pytest.fixture(scope="class")
def served(builder: Builder, child: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Container, str]]:
    """The child image as `make run-docker` starts it, and its address."""
    log, port = tmp_path_factory.mktemp("child") / "log", free_port()
    with container(builder.root(child), builder.configuration(child)["config"], log, ALCOVE_PORT=str(port)) as running:
        url = f"http://127.0.0.1:{port}"
        wait_for(partial(is_ready, url), running)
        yield running, url


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


class TestFiles:
    def test_size(self, root: Path, files: list[Path]) -> None:
        """A bar, so that growth is seen; docs/image.md has the figures."""
        sizes = {path.relative_to(root): path.lstat().st_size for path in files if path.is_file()}
        parts = Counter[str]()
        for path, size in sizes.items():
            parts[part_of(path)] += size
        print(*(f"{size / 1e6:7.1f} MB  {part}" for part, size in parts.most_common(12)), sep="\n", end="\n\n")
        base = parts["base"]
        print(
            f"{sum(sizes.values()) / 1e6:.0f} MB in all, {(sum(sizes.values()) - base) / 1e6:.0f} MB on top of the base"
        )
        assert sum(sizes.values()) - base < 260e6

    def test_user_owns_and_writes_nothing_else(self, root: Path, files: list[Path]) -> None:
        own = root / "var" / "lib" / "alcove"
        assert stat.S_IMODE(own.lstat().st_mode) == 0o700
        assert [path for path in files if USER in (path.lstat().st_uid, path.lstat().st_gid)] == [own]
        by_all = {str(path.relative_to(root)) for path in files if path.lstat().st_mode & stat.S_IWOTH}
        assert by_all <= {"tmp", "var/tmp", "run/lock"}

    def test_nothing_is_left_of_the_build(self, root: Path) -> None:
        assert not (root / "build").exists()
        assert not [
            path for name in ("tmp", "root/.cache", "var/cache", "run/secrets") for path in root.glob(f"{name}/*")
        ]
        tools = ("pip*", "gcc*", "cc", "c++", "ld", "strip")
        assert not [
            path for tool in tools for bin in ("usr/bin", "opt/alcove/bin") for path in root.glob(f"{bin}/{tool}")
        ]

    def test_says_nothing_of_where_it_was_built(self, builder: Builder, image: str, files: list[Path]) -> None:
        """No path of this machine, no index, no password, no certificate: in no file, nor in the image's history."""
        needles = {str(ROOT).encode(), PASSWORD.encode(), *foreign_certificates(files)}
        said = json.dumps(builder.configuration(image))
        assert not [needle for needle in needles if needle.decode() in said]
        for path in files:
            if path.is_file():
                content = path.read_bytes()
                assert not [needle for needle in needles if needle in content], path


def part_of(path: Path) -> str:
    """What a file of the image belongs to: the base, or one of the installed packages."""
    if path.parts[:2] != ("opt", "alcove"):
        return "base"
    rest = path.parts[path.parts.index("site-packages") + 1 :] if "site-packages" in path.parts else ("environment",)
    return rest[0].removesuffix(".libs")


def foreign_certificates(files: list[Path]) -> set[bytes]:
    """A line of each certificate that pip trusts on this machine and the base image does not bring itself."""
    certificate = pip_setting("cert")
    if certificate is None:
        return set()
    usual = b"".join(path.read_bytes() for path in files if path.name in {"cacert.pem", "ca-certificates.crt"})
    lines = {block.split()[3] for block in Path(certificate).read_bytes().split(b"-----BEGIN CERTIFICATE-----\n")[1:]}
    return {line for line in lines if line not in usual}


class TestServing:
    def test_answers(self, served: tuple[Container, str]) -> None:
        client = openai.OpenAI(base_url=f"{served[1]}/v1", api_key="none")
        answer = client.completions.create(
            model="LaMini-Tiny", prompt="What's the first name of the secret agent Bond?"
        )
        assert answer.choices[0].text == "James."

    def test_is_open_and_says_so(self, served: tuple[Container, str]) -> None:
        """A forerunner's artifacts keep their meaning: open on all addresses, with one loud line."""
        (warning,) = [line for line in served[0].log.read_text().splitlines() if "ALCOVE_API_KEYS" in line]
        assert "ANYONE WHO REACHES 0.0.0.0" in warning

    def test_health_check(self, served: tuple[Container, str]) -> None:
        kind, *command = served[0].configuration["Healthcheck"]["Test"]
        assert kind == "CMD"
        assert served[0].execute(*command).returncode == 0
        elsewhere = served[0].execute("env", f"ALCOVE_PORT={free_port()}", *command)
        assert elsewhere.returncode != 0

    def test_runs_with_nothing(self, served: tuple[Container, str]) -> None:
        """The kernel's own word for it."""
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{served[0].pid}/status").read_text().splitlines())
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(USER)}
        assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        assert status["NoNewPrivs"] == "1"
        assert status["NSpid"].split()[-1] == "1"

    @pytest.mark.parametrize("path", ["/opt/alcove/x", "/models/x", "/var/lib/alcove/x", "/etc/x"])
    def test_root_is_read_only(self, served: tuple[Container, str], path: str) -> None:
        assert "Read-only file system" in served[0].execute("touch", path).stderr

    def test_stops_in_time(self, served: tuple[Container, str]) -> None:
        """Last of its class: the container is gone afterwards."""
        assert served[0].stop(ServerSettings().drain_timeout_s) == 0


class TestBaseImage:
    def test_does_not_open_itself(self, builder: Builder, image: str, root: Path, tmp_path: Path) -> None:
        configuration = builder.configuration(image)["config"]
        with container(root, configuration, tmp_path / "log") as running:
            assert running.process.wait(30) == 2
            assert "ALCOVE_API_KEYS" in running.log.read_text()

    def test_serves_the_built_in_models_with_a_key(
        self, builder: Builder, image: str, root: Path, tmp_path: Path
    ) -> None:
        configuration, port = builder.configuration(image)["config"], free_port()
        url = f"http://127.0.0.1:{port}"
        variables = {"ALCOVE_API_KEYS": KEY, "ALCOVE_PORT": str(port)}
        with container(root, configuration, tmp_path / "log", **variables) as running:
            wait_for(partial(is_ready, url), running)
            with pytest.raises(openai.AuthenticationError):
                openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0).models.list()
            client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY)
            answer = client.chat.completions.create(
                model="alcove-seq2seq", messages=[{"role": "user", "content": "What's a nice reptile?"}]
            )
            assert "snake" in (answer.choices[0].message.content or "")
            assert running.stop(ServerSettings().drain_timeout_s) == 0

    def test_pulls_into_a_volume(self, builder: Builder, image: str, root: Path, tmp_path: Path) -> None:
        """The one place that the user may write to is enough for a pull; another container serves what is there."""
        configuration, port = builder.configuration(image)["config"], free_port()
        volume = tmp_path / "volume"
        volume.mkdir(mode=0o700)
        os.chown(volume, USER, USER)
        model = {path.name: path.read_bytes() for path in WEIGHTS.iterdir()}
        with FakeHub({"org/tiny": model}) as hub:
            pull = ("pull", "org/tiny")
            with container(root, configuration, tmp_path / "log", pull, volume, HF_ENDPOINT=hub.url) as running:
                assert running.process.wait(60) == 0, running.log.read_text()
        variables = {"ALCOVE_API_KEYS": KEY, "ALCOVE_PORT": str(port)}
        with container(root, configuration, tmp_path / "log", ("serve", "org/tiny"), volume, **variables) as running:
            wait_for(partial(is_ready, f"http://127.0.0.1:{port}"), running)
            client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY)
            assert client.completions.create(model="org/tiny", prompt=QUESTION).choices[0].text == "James."

    def test_other_commands(self, builder: Builder, image: str, root: Path, tmp_path: Path) -> None:
        configuration = builder.configuration(image)["config"]
        with container(root, configuration, tmp_path / "log", ("--version",)) as running:
            assert running.process.wait(30) == 0
            assert running.log.read_text() == f"alcove {alcove.__version__}\n"
        assert configuration["Labels"]["org.opencontainers.image.version"] == alcove.__version__
