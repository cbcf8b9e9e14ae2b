"""The README's requests, run as a reader would run them, give what the README says."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from alcove.config.load import load
from tests.serving import Server, clean_environment, running

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = BLOCK.findall(README.read_text())
ANY = "…"
"""Stands in the README for what differs from call to call."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """What `make run` starts: `alcove serve` without anything, in an empty folder."""
    with running("serve", cwd=tmp_path_factory.mktemp("readme")) as server:
        yield server


def example(language: str, containing: str) -> tuple[str, str]:
    """A block of the README, and the block after it."""
    number = next(n for n, (kind, text) in enumerate(BLOCKS) if kind == language and containing in text)
    return BLOCKS[number][1], BLOCKS[number + 1][1]


def run(command: list[str]) -> str:
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_pattern(text: str) -> re.Pattern[str]:
    return re.compile("[^,}]+?".join(map(re.escape, text.strip().split(ANY))))


def test_curl(server: Server) -> None:
    command, answer = example("sh", "curl")
    out = run(["bash", "-c", command.replace("http://127.0.0.1:8000", server.url)])
    assert as_pattern(answer).fullmatch(out.strip()), out


def test_openai_client(server: Server) -> None:
    script, answer = example("python", "OpenAI")
    assert run([sys.executable, "-c", script.replace("http://127.0.0.1:8000", server.url)]) == answer


def test_configuration(tmp_path: Path) -> None:
    """The example names folders that a reader has and we do not: it must be understood as it stands."""
    text, _ = example("toml", "[[model]]")
    (tmp_path / "alcove.toml").write_text(text)
    settings = load(None, clean_environment(), {}, tmp_path).settings
    assert [model.name for model in settings.models] == ["translate", "summarize"]
    assert settings.models[1].generation == {"num_beams": 4, "no_repeat_ngram_size": 3}


def test_commands_exist() -> None:
    """Every `alcove` command and `make` target that the README names."""
    text = "\n".join(text for kind, text in BLOCKS if kind == "sh")
    for command in set(re.findall(r"^(?:\w+=\S+ )*alcove (\w+)", text, re.MULTILINE)):
        assert "Usage" in run([sys.executable, "-m", "alcove", command, "--help"])
    makefile = (README.parent / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z-]+)", README.read_text())) - {"is"}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
