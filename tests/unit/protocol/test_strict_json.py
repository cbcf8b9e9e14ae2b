"""JSON as strict as it gets; what Python's own parser reads otherwise is the oracle."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcove.errors import InvalidRequest
from alcove.protocol.strict_json import MAX_CONTAINERS, MAX_DEPTH, MAX_NAMES, MAX_VALUES, fields_of

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8") | st.sampled_from('"\\:[]{}')),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from('"\\:a'), max_size=3), inner),
    max_leaves=20,
)  # fmt: skip


@given(fields=st.dictionaries(st.text(st.sampled_from('"\\:a'), max_size=4), values, max_size=4), ascii=st.booleans())
def test_objects_are_read_as_they_are(fields: dict[str, Any], ascii: bool) -> None:
    assert fields_of(json.dumps(fields, ensure_ascii=ascii).encode()) == fields


@given(body=st.binary(max_size=40) | st.text(st.sampled_from('{}[]":,\\ue01a '), max_size=40).map(str.encode))
def test_nothing_is_taken_that_python_would_not(body: bytes) -> None:
    try:
        fields = fields_of(body)
    except InvalidRequest:
        return
    assert fields == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 1}', b'{"a": {"b": 1, "b": 2}}', b'{"a": [{"x": 0}, {"b": 1, "\\u0062": 2}]}',
        b'{"a": {"b": 1}, "a": 1}',
    ],
)  # fmt: skip
def test_twins(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"names '[ab]' twice") as caught:
        fields_of(body)
    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize(
    ("number", "fine"),
    [
        ("18446744073709551615", True), ("18446744073709551616", False), ("-9223372036854775808", True),
        ("-9223372036854775809", False), ("1e308", True), ("1e309", False), ("-1E+999", False), ("1e-999", True),
        ("1e00000000000000000000001", True), ("9" * 400 + ".0", False), ("9" * 4000, False), ("0." + "1" * 400, True),
        ("9223372036854775807e99", True),
    ],
)  # fmt: skip
def test_numbers(number: str, fine: bool) -> None:
    for form in ('{"metadata": %s}', '{"metadata": {"a": [[0, %s]]}}', '{"a": "1e999", "metadata": [%s]}'):
        body = (form % number).encode()
        if fine:
            assert fields_of(body)
            continue
        with pytest.raises(InvalidRequest, match="64 bits") as caught:
            fields_of(body)
        assert (caught.value.param, caught.value.code) == ("metadata", "invalid_value")


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_depth(opening: str) -> None:
    closing = "]" if opening == "[" else "}"

    def nested(depth: int) -> bytes:
        return ('{"a":' + opening * (depth - 1) + "0" + closing * (depth - 1) + "}").encode()

    assert fields_of(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 150, 100_000):
        with pytest.raises(InvalidRequest) as caught:
            fields_of(nested(depth))
        assert caught.value.code == "invalid_json"


def test_a_small_text_makes_no_large_object() -> None:
    assert fields_of(b'{"a":[%s[]]}' % (b"[]," * (MAX_CONTAINERS - 3)))
    with pytest.raises(InvalidRequest, match="lists and objects"):
        fields_of(b'{"a":[%s[]]}' % (b"[]," * MAX_CONTAINERS))
    assert fields_of(b'{"a":"%s"}' % (b"[" * 2 * MAX_CONTAINERS)), "brackets in a text are text"


def test_fields_and_items_are_counted_before_they_are_made() -> None:
    names = [b'"%d":1' % number for number in range(MAX_NAMES)]
    assert fields_of(b'{"a":{%s}}' % b",".join(names[1:]))
    with pytest.raises(InvalidRequest, match="fields"):
        fields_of(b'{"a":{%s}}' % b",".join(names))
    assert fields_of(b'{"a":[%s1]}' % (b"1," * (MAX_VALUES - 1)))
    with pytest.raises(InvalidRequest, match="items"):
        fields_of(b'{"a":[%s1]}' % (b"1," * MAX_VALUES))
    assert fields_of(b'{"a":"%s"}' % (b":," * MAX_VALUES)), "and those in a text are text"


@pytest.mark.parametrize("body", [b'{"a":"' + b'\\"' * 1_000_000, b'{"a":"' + b"\\" * 2_000_001, b'"' * 2_000_001])
def test_a_long_text_without_an_end_is_no_work(body: bytes) -> None:
    """Each of these would be hours for a pattern that looks for an end from each quotation mark again."""
    with pytest.raises(InvalidRequest):
        fields_of(body)


@pytest.mark.parametrize(
    "body", [b'{"a": NaN}', b'{"a": [-Infinity]}', b"\xef\xbb\xbf{}", b'{"a": "\\ud800"}', b"{", b""]
)
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"^The body is not valid JSON: .+ at line \d+ column \d+\.$") as caught:
        fields_of(body)
    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"a"'])
def test_what_is_no_object(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"^The body should be a JSON object\.$") as caught:
        fields_of(body)
    assert caught.value.code == "invalid_json"


def test_depth_is_that_of_the_deepest_among_many() -> None:
    def deep(depth: int) -> bytes:
        return b'{"a":[%s%s%s]}' % (b"[]," * 100, b"[" * (depth - 2), b"]" * (depth - 2))

    assert fields_of(deep(MAX_DEPTH))
    with pytest.raises(InvalidRequest, match=f"nested more than {MAX_DEPTH} deep"):
        fields_of(deep(MAX_DEPTH + 1))
