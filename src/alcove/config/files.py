"""A configuration file's text as data, or one clear line: called by the readers of each format."""

import json
import tomllib
from pathlib import Path
from typing import Any

from alcove.errors import ConfigurationError


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises `ConfigurationError`, with line and column where they are known."""
    try:
        return tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:  # numbers too long to be read, and tables in tables without end
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from None


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises `ConfigurationError`, with line and column where they are known, and for a key
    given twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        data = dict(pairs)
        if len(data) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ConfigurationError(f"{path}: {twice}: is there twice")
        return data

    try:
        data = json.loads(read_text(path), object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{path}: not valid JSON: {error.msg} (at line {error.lineno}, column {error.colno})"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}: should hold a JSON object ({{...}}), not {type(data).__name__}")
    return data


def read_text(path: Path) -> str:
    """A file's text. Raises `ConfigurationError` when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not a text file in UTF-8") from None


def is_template(text: str) -> bool:
    """Whether a setting is a chat template rather than the path of one: a template has braces, a path has none."""
    return "{" in text or "\n" in text
