"""The packages as a person gets them: each goes into an empty environment, says its version and answers a question."""

import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from uv import find_uv_bin

from alcove import __version__
from tests.serving import clean_environment, running

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make package` makes: the sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("packages")
    run(find_uv_bin(), "build", "--build-constraints", CONSTRAINTS, "--out-dir", folder, cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(packages: Path) -> Path:
    return packages / f"alcove-{__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def sdist(packages: Path) -> Path:
    return packages / f"alcove-{__version__}.tar.gz"


def sources() -> set[str]:
    """The package's files as they lie here."""
    files = (path for path in (ROOT / "src" / "alcove").rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT / "src")) for path in files if "__pycache__" not in path.parts}


def test_wheel_holds_the_package_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = Parser().parsestr(archive.read(f"alcove-{__version__}.dist-info/METADATA").decode())
    notes = {name for name in names if name.startswith(f"alcove-{__version__}.dist-info/")}
    assert names - notes == sources()
    assert metadata["Version"] == __version__
    assert metadata["License-File"] == "LICENSE"
    assert (metadata.get_payload() or "") == (ROOT / "README.md").read_text()


def test_sdist_holds_what_building_and_testing_need(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.removeprefix(f"alcove-{__version__}/") for name in archive.getnames()}
    assert {f"src/{name}" for name in sources()} <= names
    needed = [
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "Makefile",
        "constraints.txt",
        "deploy/Dockerfile",
    ]
    assert {*needed, "tests/conftest.py", "tests/zoo/families.py", "tools/configuration_page.py"} <= names
    assert not [name for name in names if re.search(r"(^|/)(__pycache__|\.(venv|git|cache|ci)|\w+_cache)(/|$)", name)]


@pytest.mark.parametrize("package", ["wheel", "sdist"])
def test_installs_and_serves(package: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    python = environment / "bin" / "python"
    run(find_uv_bin(), "venv", "--python", sys.executable, environment, cwd=tmp_path)
    install = ("pip", "install", "--python", python, "--constraints", CONSTRAINTS, "--build-constraints", CONSTRAINTS)
    run(find_uv_bin(), *install, request.getfixturevalue(package), cwd=tmp_path)
    assert run(environment / "bin" / "alcove", "--version", cwd=tmp_path) == f"alcove {__version__}\n"
    with running("serve", cwd=tmp_path, python=python) as server:
        questions = {
            "alcove-seq2seq": "What's the first name of the secret agent Bond?",
            "alcove-chat": "Hello! What is your name?",
        }
        for model, question in questions.items():
            messages = [{"role": "user", "content": question}]
            answer = server.post("/v1/chat/completions", {"model": model, "messages": messages}).json()
            assert answer["choices"][0]["message"]["content"], model


def test_version_is_the_same_wherever_it_is_named() -> None:
    """Its one place is `alcove.__version__`; the changelog's newest entry and the pages' examples agree."""
    (newest, *_) = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest == __version__
    named = {
        version for page in PAGES for version in re.findall(r"\balcove[-=:@ ]+v?(\d+\.\d+\.\d+)", page.read_text())
    }
    assert named <= {__version__}
