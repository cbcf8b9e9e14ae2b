"""A body's bytes -> the fields of one JSON object, or a refusal: stricter than JSON where readers differ, and
bounded where a small text makes a large object. Called by `request.py`.

What is looked for is rare and the search cheap: the text without its strings tells whether there is anything to find.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic_core import from_json

from alcove.errors import InvalidRequest

MAX_DEPTH = 64
"""Lists and objects within each other."""
MAX_CONTAINERS = 65_536
"""Lists and objects in all: 2 MiB of `[],[],` would be 700,000 of them."""
MAX_NAMES = 65_536
"""Fields of all objects together."""
MAX_VALUES = 524_288
"""Items of all lists and objects together: 2 MiB of token ids of three digits."""
_MOST_SAID = 100
"""Characters of a name that is said back to the client who sent it."""

_Container = dict[str, Any] | list[Any]
_CONTAINERS = (dict, list)
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_LONG_NUMBER = re.compile(rb"\d{19}|[eE][+-]?\d{3}")
"""What may be more than 64 bits; a number without it is less than 10^19 x 10^99."""


def fields_of(body: bytes) -> dict[str, Any]:
    """The fields of a JSON object. Raises `InvalidRequest` for what is no JSON (NaN, a byte order mark, bytes that are
    not UTF-8, half a surrogate pair), no object, nested too deeply, names a field twice, or has a number that 64 bits
    do not hold."""
    bare = _STRING.sub(b"", body)
    containers = bare.count(b"[") + bare.count(b"{")
    names = bare.count(b":")
    if containers > MAX_CONTAINERS:
        raise _invalid(f"it has more than {MAX_CONTAINERS} lists and objects")
    if names > MAX_NAMES:
        raise _invalid(f"its objects have more than {MAX_NAMES} fields")
    if bare.count(b",") >= MAX_VALUES:
        raise _invalid(f"its lists and objects have more than {MAX_VALUES} items")
    try:
        fields = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise _invalid(str(error)) from error
    if not isinstance(fields, dict):
        raise InvalidRequest("The body should be a JSON object.", code="invalid_json")
    if containers > MAX_DEPTH and _depth(fields) > MAX_DEPTH:
        raise _invalid(f"lists and objects are nested more than {MAX_DEPTH} deep")
    if names != len(fields) and names != sum(len(inner) for inner in _containers(fields) if isinstance(inner, dict)):
        json.loads(body, object_pairs_hook=_refuse_twins)
    if _LONG_NUMBER.search(bare):
        for name, value in fields.items():
            _check_numbers(name, value)
    return fields


def _containers(outermost: _Container) -> Iterator[_Container]:
    """It, and all lists and objects in it."""
    waiting = [outermost]
    while waiting:
        container = waiting.pop()
        yield container
        waiting += _inner(container)


def _depth(outermost: _Container) -> int:
    """How deep it is; pydantic's parser gives up at 200."""
    depth, level = 0, [outermost]
    while level:
        depth += 1
        level = [inner for container in level for inner in _inner(container)]
    return depth


def _inner(container: _Container) -> list[_Container]:
    return [item for item in _items(container) if isinstance(item, _CONTAINERS)]


def _items(container: _Container) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _check_numbers(name: str, value: Any) -> None:
    for number in (item for container in _containers([value]) for item in _items(container)):
        if (isinstance(number, float) and not math.isfinite(number)) or (
            isinstance(number, int) and not -(2**63) <= number < 2**64
        ):
            name = name[:_MOST_SAID]
            raise InvalidRequest(f"{name!r}: 64 bits should hold a number.", param=name, code="invalid_value")


def _refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise InvalidRequest(
                f"The body is not plain JSON: an object names {name[:_MOST_SAID]!r} twice.", code="invalid_json"
            )
        fields[name] = value
    return fields


def _invalid(problem: str) -> InvalidRequest:
    return InvalidRequest(f"The body is not valid JSON: {problem}.", code="invalid_json")
