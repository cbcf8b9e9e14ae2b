"""The command line as a process: exit codes, one line for an error, what help imports."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alcove import __version__
from alcove.store.find import PACKAGED

from ...fakehub import FakeHub
from ...serving import heed_ctrl_c

TINY = {path.name: path.read_bytes() for path in (PACKAGED / "alcove-chat" / "ctranslate2").iterdir()}
"""A repository that holds a built-in model."""


def process(cwd: Path, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ALCOVE_", "LLM_", "HF_"))}
    home = {"HOME": str(cwd), "HF_HOME": str(cwd / "hf"), "NO_COLOR": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "alcove", *arguments],
        cwd=cwd,
        env={**clean, **home, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,
    )


def alcove(cwd: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    running = process(cwd, *arguments, **environ)
    output, errors = running.communicate(timeout=30)
    return subprocess.CompletedProcess(arguments, running.returncode, output, errors)


HEAVY = {"pydantic", "fastapi", "uvicorn", "ctranslate2", "huggingface_hub", "numpy", "torch", "tokenizers"}


def test_help_names_the_extra_in_brackets(tmp_path: Path) -> None:
    """Which rich would take for markup."""
    for command in ("pull", "convert"):
        assert "pip install 'alcove[convert]'" in " ".join(alcove(tmp_path, command, "--help").stdout.split())


@pytest.mark.parametrize(
    ("arguments", "shown", "heavy"),
    [
        (["--help"], "alcove serve", HEAVY),
        (["--version"], f"alcove {__version__}", HEAVY),
        (["schema"], '"additionalProperties": false', HEAVY - {"pydantic"}),
        (["serve", "--help"], "--port", HEAVY - {"pydantic"}),  # typer itself takes pydantic for a number
    ],
)
def test_help_imports_nothing_heavy(tmp_path: Path, arguments: list[str], shown: str, heavy: set[str]) -> None:
    script = (
        "import sys\n"
        "from alcove.cli.commands import app\n"
        f"try: app({arguments!r}, prog_name='alcove')\n"
        "except SystemExit: pass\n"
        f"imported = {heavy!r} & sys.modules.keys()\n"
        "assert not imported, imported"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert shown in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "files", "code", "message"),
    [
        (["serve", "absent.toml"], {}, 2, "absent.toml: no such file or folder, nor the name of a model"),
        (["serve"], {"alcove.toml": "[server]\nprot = 1\n"}, 2, "{cwd}/alcove.toml: server.prot: unknown key; did you"),
        (["serve"], {"alcove.toml": "[server\n"}, 2, "{cwd}/alcove.toml: not valid TOML: "),
        (["serve"], {"config.json": '{"MODELS": {},\n}'}, 2, "{cwd}/config.json: not valid JSON: "),
        (
            ["check", "config.json"],
            {"config.json": '{"MODELS": 1}'},
            2,
            "{cwd}/config.json: MODELS: should be an object",
        ),
        (["serve", "--port", "70000"], {}, 2, "flag: --port: should be less than or equal to 65535, not 70000"),
        (["serve", "--host", "0.0.0.0"], {}, 2, "server.host is 0.0.0.0 and there are no keys"),
        (["serve", "--port", "0", "org/absent"], {}, 3, "org/absent: not a folder, and not pulled to this machine; "),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    tmp_path: Path, arguments: list[str], files: dict[str, str], code: int, message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    ran = alcove(tmp_path, *arguments)
    assert ran.returncode == code
    assert ran.stdout == ""
    assert ran.stderr.startswith("alcove: " + message.format(cwd=tmp_path))
    assert ran.stderr.count("\n") == 1


def test_check_shows_every_value_and_its_origin(tmp_path: Path) -> None:
    (tmp_path / "alcove.toml").write_text('[[model]]\nname = "t5"\nsource = "builtin:alcove-seq2seq"\n')
    ran = alcove(tmp_path, "check", ALCOVE_PORT="9000", ALCOVE_API_KEYS="secret", LOGGING_LEVEL="loud")
    rows = [line.split(maxsplit=2) for line in ran.stdout.splitlines()]
    assert ["server.port", "9000", "environment: ALCOVE_PORT"] in [[part.strip() for part in row] for row in rows]
    assert ["models[0].engine", "auto", "default"] in [[part.strip() for part in row] for row in rows]
    assert "1 key" in ran.stdout
    assert "secret" not in ran.stdout + ran.stderr
    assert ran.stderr.startswith("WARNING environment: LOGGING_LEVEL")
    assert ran.returncode == 0


def test_pull_then_list(tmp_path: Path) -> None:
    with FakeHub({"org/tiny": TINY}) as hub:
        pulled = alcove(tmp_path, "pull", "org/tiny", HF_ENDPOINT=hub.url, ALCOVE_HOME=str(tmp_path / "store"))
        absent = alcove(tmp_path, "pull", "org/absent", HF_ENDPOINT=hub.url)
    assert pulled.returncode == 0, pulled.stderr
    folder = tmp_path / "store" / "models" / "org" / "tiny"
    assert pulled.stdout == f"Pulled to {folder}\nServe it with: alcove serve org/tiny\n"
    assert (folder / "model.bin").read_bytes() == TINY["model.bin"]
    assert absent.returncode == 3
    assert absent.stderr.startswith("alcove: org/absent: no such repository on the Hub")
    assert absent.stderr.count("\n") == 1
    listed = alcove(tmp_path, "list", ALCOVE_HOME=str(tmp_path / "store"))
    (row,) = [line for line in listed.stdout.splitlines() if line.startswith("org/tiny ")]
    assert row.split()[1:3] == ["causal", "ctranslate2"]


def test_an_interrupted_pull_ends_at_once(tmp_path: Path) -> None:
    with FakeHub({"org/tiny": TINY}) as hub:
        hub.held["model.bin"] = 10
        pulling = process(tmp_path, "pull", "org/tiny", HF_ENDPOINT=hub.url)
        while ("model.bin", 0) not in hub.downloads:
            time.sleep(0.02)
            assert pulling.poll() is None, pulling.communicate()
        pulling.send_signal(signal.SIGINT)
        _, errors = pulling.communicate(timeout=7)  # of the 10 s for which the hub is silent
    assert pulling.returncode == 128 + signal.SIGINT
    assert errors.endswith("\nalcove: stopped; the same command goes on\n")
