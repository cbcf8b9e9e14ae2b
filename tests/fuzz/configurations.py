"""Feeds the reading of configurations what atheris makes of its coverage: `make fuzz`, or
`python -m tests.fuzz.configurations -max_total_time=180 CORPUS`. Anything but settings, or problems and warnings of one
clear line each, is a crash.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["alcove.config", "tomllib"]):
    from alcove.config.load import Loaded, examine

FOLDER = Path("/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir(), "alcove-fuzz")
"""In memory: a disk would take nine tenths of the time. Always the same, for libFuzzer ends without tidying up; so one
run at a time."""
FOLDER.mkdir(exist_ok=True)
FILES = ("alcove.toml", "config.json", "bootstrap_config.json")


def of_file(name: str, text: bytes) -> Loaded:
    """`load` is this, and the first problem raised."""
    path = FOLDER / name
    path.write_bytes(text)
    return examine(str(path), {}, {}, FOLDER)


def of_environment(text: bytes) -> Loaded:
    """Lines of NAME=VALUE, in which any byte may stand but NUL, as in a real environment."""
    lines = text.decode("utf-8", "surrogateescape").replace("\0", "").split("\n")
    environ = {name: value for name, _, value in (line.partition("=") for line in lines)}
    return examine("builtin:alcove-chat", environ, {}, FOLDER)


def one(data: bytes) -> None:
    """The first byte chooses the kind of configuration, the rest is its text."""
    kind = data[0] % (len(FILES) + 1) if data else 0
    found = of_file(FILES[kind], data[1:]) if kind < len(FILES) else of_environment(data[1:])
    assert found.problems or found.settings.models, "nothing to serve, and nothing wrong"
    for line in (*found.problems, *found.warnings):
        assert line, "a problem without a word"
        assert line.isprintable(), f"not one line: {line!r}"


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
