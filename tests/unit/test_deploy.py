"""What must hold for the image, read from its files; `make image-test` builds and tries the image itself."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from fnmatch import fnmatch
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from alcove.config.load import load
from alcove.config.settings import ServerSettings
from alcove.errors import ConfigurationError
from alcove.store.places import Reference, conversion, published

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def instructions(name: str, stage: int = -1) -> list[tuple[str, str]]:
    """A Dockerfile's instructions from one of its FROM lines to the next."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / name).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    parsed = [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]
    starts = [number for number, (word, _) in enumerate(parsed) if word == "FROM"] + [len(parsed)]
    first = starts[:-1][stage]
    return parsed[first : starts[starts.index(first) + 1]]


def only(name: str, word: str) -> str:
    (found,) = [rest for instruction, rest in instructions(name) if instruction == word]
    return found


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in only("Dockerfile", "ENV").split())


def locked(name: str) -> dict[str, str]:
    """A lock's versions, by canonical name; each must have a hash."""
    entries = re.findall(
        r"^([\w.-]+)==([\w.]+)[^\n]*?((?: \\\n +--hash=\S+)+)$", (DEPLOY / name).read_text(), re.MULTILINE
    )
    pins = re.findall(r"^[\w.-]+==", (DEPLOY / name).read_text(), re.MULTILINE)
    assert len(entries) == len(pins), "a version without a hash"
    return {canonicalize_name(package): version for package, version, _ in entries}


def needed(requirements: list[str]) -> set[str]:
    """The packages that these requirements lead to, by the metadata of what is installed here."""
    found: set[tuple[str, str]] = set()
    waiting = [each for each in map(Requirement, requirements) if each.marker is None or each.marker.evaluate()]
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            if (key := (canonicalize_name(requirement.name), extra)) in found:
                continue
            found.add(key)
            inner = [Requirement(text) for text in distribution(requirement.name).requires or []]
            waiting += [each for each in inner if each.marker is None or each.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


class TestLocks:
    def test_holds_what_the_package_needs(self) -> None:
        pins = locked("requirements.lock")
        for text in PROJECT["project"]["dependencies"]:
            requirement = Requirement(text)
            assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), f"{text}; run: make lock"
        missing = needed(PROJECT["project"]["dependencies"]) - pins.keys()
        assert not missing, "run: make lock"

    def test_holds_nothing_else(self) -> None:
        """No torch, no test library; what only other platforms need has a marker and is not counted."""
        text = (DEPLOY / "requirements.lock").read_text()
        elsewhere = {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==\S+ ; ", text, re.MULTILINE)}
        assert locked("requirements.lock").keys() - needed(PROJECT["project"]["dependencies"]) <= elsewhere

    def test_has_the_versions_that_the_tests_run_with(self) -> None:
        lines = (ROOT / "constraints.txt").read_text().splitlines()
        tested = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line}
        for name in ("requirements.lock", "build.lock"):
            pins = locked(name)
            assert {package: tested[package] for package in pins.keys() & tested.keys()} == {
                package: version for package, version in pins.items() if package in tested
            }, "run: make lock"

    def test_builds_with_the_locked_backend(self) -> None:
        pins = locked("build.lock")
        for text in PROJECT["build-system"]["requires"]:
            requirement = Requirement(text)
            assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


class TestDockerfile:
    def test_user_is_not_root(self) -> None:
        assert only("Dockerfile", "USER") == "10001:10001"
        assert "USER" not in dict(instructions("inject.Dockerfile"))

    def test_final_image_knows_nothing_of_the_builder(self) -> None:
        arguments = [rest for word, rest in instructions("Dockerfile") if word == "ARG"]
        assert arguments == ["VERSION"]
        assert [rest for word, rest in instructions("Dockerfile") if word == "COPY"] == [
            "--from=build /opt/alcove /opt/alcove"
        ]

    def test_installs_only_what_is_locked(self) -> None:
        runs = " ".join(rest for word, rest in instructions("Dockerfile", stage=0) if word == "RUN")
        for command in re.findall(r"pip(?: --python \S+)? (?:install|wheel) [^&]+", runs):
            assert "--require-hashes" in command or "--no-index" in command, command

    def test_ports_agree(self) -> None:
        port = str(ServerSettings().port)
        assert only("Dockerfile", "EXPOSE") == environment()["ALCOVE_PORT"] == port

    def test_health_is_asked_with_the_image_s_python(self) -> None:
        options, _, command = only("Dockerfile", "HEALTHCHECK").partition("CMD ")
        arguments: list[str] = json.loads(command)
        assert {"--interval", "--timeout", "--start-period"} <= {option.split("=")[0] for option in options.split()}
        assert arguments[:2] == ["python", "-c"]
        compile(arguments[2], "HEALTHCHECK", "exec")
        assert "/health" in arguments[2]

    def test_settings_are_known_and_closed(self, tmp_path: Path) -> None:
        """The image listens on all addresses, and like any other set-up does not do so without keys."""
        with pytest.raises(ConfigurationError, match="ALCOVE_API_KEYS"):
            load(None, environment(), {}, tmp_path)
        settings = load(None, environment() | {"ALCOVE_API_KEYS": "sk-1"}, {}, tmp_path).settings
        assert (settings.server.host, str(settings.home)) == ("0.0.0.0", environment()["HOME"])

    def test_context_holds_what_is_copied(self) -> None:
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        allowed = [line.removeprefix("!") for line in lines if line.startswith("!")]
        assert "*" in lines
        for word, rest in instructions("Dockerfile", stage=0):
            for source in rest.split()[:-1] if word == "COPY" else ():
                assert any(fnmatch(source, pattern) for pattern in allowed), source
                assert (ROOT / source).exists()


class TestCompose:
    @pytest.fixture
    def service(self) -> Any:
        return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["alcove"]

    def test_is_locked_down(self, service: Any) -> None:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert ":?" in service["environment"]["ALCOVE_API_KEYS"], "it does not start without keys"
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])

    def test_agrees_with_the_image(self, service: Any) -> None:
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        assert service["ports"] == [f"127.0.0.1:8000:{environment()['ALCOVE_PORT']}"]
        assert service["volumes"] == [f"models:{environment()['ALCOVE_HOME']}"]

    def test_waits_for_the_drain(self, service: Any) -> None:
        assert int(service["stop_grace_period"].removesuffix("s")) > ServerSettings().drain_timeout_s
        assert int(re.findall(r"--stop-timeout (\d+)", (DEPLOY / "run.sh").read_text())[0]) > (
            ServerSettings().drain_timeout_s
        )


class TestRun:
    """`make run-docker`, with a program in Docker's place that writes down how it was called."""

    @pytest.fixture
    def run(self, tmp_path: Path) -> Callable[..., tuple[list[str], str]]:
        docker = tmp_path / "docker"
        docker.write_text(f'#!/bin/sh\n[ "$1" = image ] && exit "$MISSING"\nprintf "%s\\n" "$@" > {tmp_path}/called\n')
        docker.chmod(0o755)

        def run(*, injected: bool = True, keys: str = "") -> tuple[list[str], str]:
            missing = str(int(not injected))
            environment = {"PATH": os.environ["PATH"], "MISSING": missing, "ALCOVE_API_KEYS": keys}
            command = ["make", "-C", str(ROOT), "run-docker", f"CONTAINERS={docker}"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            return (tmp_path / "called").read_text().splitlines(), done.stderr

        return run

    def test_is_open_with_one_loud_warning(self, run: Callable[..., tuple[list[str], str]]) -> None:
        called, said = run()
        assert called[-1] == "ct2-model"
        assert called[called.index("--publish") + 1] == "8000:8000"
        assert called[called.index("--env") + 1] == "ALCOVE_INSECURE_NO_AUTH=1"
        assert said.count("ANYONE WHO REACHES PORT 8000") == 1

    def test_is_closed_with_keys(self, run: Callable[..., tuple[list[str], str]]) -> None:
        called, said = run(keys="sk-secret")
        assert called[called.index("--env") + 1] == "ALCOVE_API_KEYS", "its value stays out of the list of processes"
        assert not said

    def test_is_locked_down(self, run: Callable[..., tuple[list[str], str]]) -> None:
        called, _ = run()
        assert "--read-only" in called
        assert called[called.index("--cap-drop") + 1] == "ALL"

    def test_base_image_without_an_injected_one(self, run: Callable[..., tuple[list[str], str]]) -> None:
        assert run(injected=False)[0][-1] == "alcove"


def test_inject_takes_the_conversion_of_a_pulled_model(tmp_path: Path) -> None:
    """The image has CTranslate2 only, so of what a pull has left its conversion goes before the original."""
    pulled = Reference.parse("org/one")
    for folder in (published(pulled, tmp_path), conversion(pulled, tmp_path)):
        folder.mkdir(parents=True)
        command = ["make", "-C", str(ROOT), "inject", "MODEL_NAME=org/one", "CONTAINERS=echo"]
        environment = {"PATH": os.environ["PATH"], "ALCOVE_HOME": str(tmp_path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert f"MODEL_NAME=org/one {folder}\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [((), "name the model"), (("MODEL_NAME=no/such",), "no/such is neither in artifacts/ nor pulled")],
)
def test_inject_says_what_is_missing(arguments: tuple[str, ...], says: str) -> None:
    done = subprocess.run(["make", "-C", str(ROOT), "inject", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert says in done.stderr
