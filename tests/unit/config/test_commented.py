"""What `alcove init` writes is a file that is understood, whichever of its lines is uncommented."""

import re
from pathlib import Path

import pytest

from alcove.config.commented import commented
from alcove.config.load import examine, load
from alcove.config.schema import schema

MODELS = [
    {"name": "org/t5", "source": "org/t5", "default": True},
    {"name": 'a "quoted" name', "source": "C:\\models\\größe"},
]
TEXT = commented(MODELS)
SETTING = re.compile(r"^#(?=\w)", re.MULTILINE)
LINES = [line for line in TEXT.splitlines() if SETTING.match(line)]
KEYS = {"ALCOVE_API_KEYS": "sk-one", "ALCOVE_ADMIN_KEYS": "sk-two"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for name in ("keys.txt", "admin-keys.txt"):
        (tmp_path / name).write_text("sk-three\n")
        (tmp_path / name).chmod(0o600)
    (tmp_path / "chat.jinja").write_text("{{ messages }}")
    return tmp_path / "alcove.toml"


def test_the_models_as_they_are_given(file: Path) -> None:
    file.write_text(TEXT)
    models = load(str(file), {}, {}, file.parent).settings.models
    assert [(model.name, model.source, model.default) for model in models] == [
        ("org/t5", "org/t5", True),
        ('a "quoted" name', "C:\\models\\größe", False),
    ]


def test_every_setting_is_there_once() -> None:
    tables = schema()["definitions"]
    names = [name for table in tables.values() for name, field in table["properties"].items() if "$ref" not in field]
    shown = [line[1:].partition(" = ")[0].rpartition(".")[2] for line in LINES]
    assert sorted([*shown, *MODELS[0]]) == sorted(names)


def test_what_is_not_called_an_example_is_the_default(file: Path) -> None:
    file.write_text(TEXT)
    untouched = load(str(file), KEYS, {}, file.parent).settings
    defaults = [line[1:] if SETTING.match(line) and "# an example" not in line else line for line in TEXT.splitlines()]
    file.write_text("\n".join(defaults))
    assert load(str(file), KEYS, {}, file.parent).settings == untouched


@pytest.mark.parametrize("line", [line for line in LINES if "# an example" in line])
def test_an_example_can_be_uncommented(file: Path, line: str) -> None:
    file.write_text(TEXT.replace(line, line[1:]))
    assert examine(str(file), KEYS, {}, file.parent).problems == ()


def test_each_setting_is_explained_in_one_line() -> None:
    lines = TEXT.splitlines()
    for number, line in enumerate(lines):
        assert len(line) <= 120
        if SETTING.match(line):
            assert re.fullmatch(r"# \S.*\.", lines[number - 1]), line
