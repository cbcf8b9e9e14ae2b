"""The JSON schema says of a file what alcove itself says of it."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from alcove.config import alcove_toml
from alcove.config.schema import FILE, schema, text
from alcove.config.validation import validated

ROOT = Path(__file__).parents[3]
MODEL = '[[model]]\nname = "t5"\nsource = "org/t5"\n'
VALUES = (True, -1, 0, 1, 0.5, 70_000, "", "x", "auto", "6GiB", [], ["x"], [1], {}, {"x": 1})


@pytest.fixture(scope="module")
def shipped() -> Draft7Validator:
    content = json.loads(FILE.read_text())
    Draft7Validator.check_schema(content)
    return Draft7Validator(content)


def accepted(path: Path) -> bool:
    layer = alcove_toml.read(path)
    return not (layer.problems or validated(layer.entries).problems)


def settings() -> Iterator[tuple[str, ...]]:
    """Every setting, as its tables and its name."""
    root = schema()

    def visit(before: tuple[str, ...], node: Any) -> Iterator[tuple[str, ...]]:
        if "$ref" in node:
            for name, field in root["definitions"][node["$ref"].rpartition("/")[2]]["properties"].items():
                yield from visit((*before, name), field)
        else:
            yield before

    for table, node in root["properties"].items():
        yield from visit((table,), node.get("items", node))


def file_with(setting: tuple[str, ...], value: Any) -> str:
    def toml(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
        return json.dumps(value)

    table, *names = setting
    line = f"{'.'.join(names)} = {toml(value)}\n"
    if table != "model":
        return f"[{table}]\n{line}{MODEL}"
    given = {"name": '"t5"', "source": '"org/t5"'}
    given.pop(names[0], None)
    return "[[model]]\n" + "".join(f"{key} = {text}\n" for key, text in given.items()) + line


def test_the_shipped_file_is_what_the_settings_make() -> None:
    assert FILE.read_text() == text(), "run: python -m tools.configuration_page"


@pytest.mark.parametrize("setting", [*settings()], ids=".".join)
def test_it_takes_and_refuses_the_values_that_alcove_does(
    shipped: Draft7Validator, tmp_path: Path, setting: tuple[str, ...]
) -> None:
    path = tmp_path / "alcove.toml"
    for value in VALUES:
        path.write_text(file_with(setting, value))
        assert shipped.is_valid(tomllib.loads(path.read_text())) == accepted(path), value


@pytest.mark.parametrize(
    "text",
    [
        "[server]\nprot = 1\n",
        "[servers]\n",
        "[[models]]\nname = 'a'\nsource = 'a'\n",
        "[model]\nname = 'a'\nsource = 'a'\n",
        "[[model]]\nname = 'a'\n",
        "[[model]]\nsource = 'a'\n",
        "home = '/store'\n",
        "[auth]\nkeys = ['secret']\n",
        "[auth]\nadmin_keys = ['secret']\n",
        "[auth]\nloopback_only = true\n",
        MODEL + "prompt.profil = 'x'\n",
        "server = 3\n",
    ],
)
def test_it_refuses_what_alcove_refuses(shipped: Draft7Validator, tmp_path: Path, text: str) -> None:
    path = tmp_path / "alcove.toml"
    path.write_text(text)
    assert not accepted(path)
    assert not shipped.is_valid(tomllib.loads(text))


def test_the_examples_in_the_documentation(shipped: Draft7Validator) -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = [block for page in pages for block in re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.M | re.S)]
    assert blocks
    for block in blocks:
        assert [error.message for error in shipped.iter_errors(tomllib.loads(block))] == [], block


def test_an_editor_can_explain_every_setting(shipped: Draft7Validator) -> None:
    tables = shipped.schema["definitions"]
    assert all(table["description"] for table in tables.values())
    undescribed = [
        name
        for table in tables.values()
        for name, field in table["properties"].items()
        if "description" not in field and "$ref" not in field
    ]
    assert undescribed == []
