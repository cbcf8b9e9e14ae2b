"""Input that is too much, of the wrong type or no JSON at all: a 400 that names the field, and no work for engines."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.test_errors import error_of
from tests.serving import Server

PATHS = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}
PROMPTS = {"completions": '"prompt": "x"', "chat": '"messages": [{"role": "user", "content": "x"}]'}
HUGE = "9" * 400

WRONG: dict[str, list[str]] = {
    "temperature": ["-0.1", "2.1", '"1"', "true", "[1]", "{}", "1e999", "-1e999", HUGE],
    "top_p": ["-0.01", "1.01", '"0.5"', "false", "1e999"],
    "top_k": ["-2", "1.5", "true", '"3"', str(2**31), HUGE],
    "min_p": ["-0.1", "1.1", "true"],
    "typical_p": ["0", "1.1", '"1"'],
    "presence_penalty": ["-2.1", "2.1", '"0"', "true", "1e400"],
    "frequency_penalty": ["-2.1", "2.1", "[]", "1e400"],
    "repetition_penalty": ["0", "-1", "101", "1e999", '"1"'],
    "n": ["0", "-1", "129", "1000000", "1.5", "1.0", '"1"', "true", "1e3", str(2**63), str(2**64), HUGE],
    "best_of": ["0", "21", "true", '"2"', HUGE],
    "num_beams": ["0", "65", "true", "1.5"],
    "max_tokens": ["-1", "1.5", '"5"', "true", "[5]", str(2**31), str(2**63), str(-(2**63) - 1), HUGE],
    "min_tokens": ["-1", "true", str(2**31)],
    "seed": [str(2**63), str(-(2**63) - 1), "1.5", '"1"', "true", str(2**64), HUGE],
    "stop": ['["a","a","a","a","a"]', f'"{"a" * 257}"', '[""]', '""', "1", "[1]", "{}", "true", '[["a"]]'],
    "stop_token_ids": ["[-1]", f"[{2**31}]", "[true]", '["1"]', '"1"', "[[1]]", "[1.0]", f"[{HUGE}]"],
    "logit_bias": [
        '{"-1": 1}', '{"x": 1}', '{"1": 101}', '{"1": -101}', '{"1": true}', '{"1": "1"}', '{"1": 1e999}', "[1]",
        '{"1": null}', '{"01": 1}', '{"": 1}', '{" 1": 1}', '{"\\u0661": 1}', f'{{"{HUGE}": 1}}', '{"1": [1]}',
        json.dumps({str(i): 1 for i in range(1025)}),
    ],
    "stream": ['"yes"', "1", "0", "[]", '"true"'],
    "stream_options": ["[]", "true", '{"include_usage": 1}', '{"include_usage": "true"}', '{"x": true}'],
    "ignore_eos": ["1", '"true"'],
    "prompt_logprobs": ["-1", "21", "true"],
    "model": ["1", "[]", "{}", "true"],
    "bad_words": ["[1]", '[""]', '"a"'],
    "truncate_prompt_tokens": ["0", "-2", "true"],
    "source_lang": ["1", "[]"],
}  # fmt: skip
"""Values of fields that both endpoints have, as JSON."""

WRONG_PROMPTS = [
    "{}", "true", "1", "1.5", "[]", "[[]]", '[["a"]]', '[[1], "a"]', "[[true]]", "[true]", "[1.0]", f"[{2**31}]",
    f"[{HUGE}]", "[257]", "[[257]]", "[-1]", "[[1], [-1]]", "[[[1]]]", '[""]', '""', json.dumps(["a"] * 2049), "[null]",
]  # fmt: skip
WRONG_MESSAGES = [
    '"x"', "{}", "[]", "[[]]", "[null]", "[1]", '["x"]', "[{}]", '[{"role": "user"}]', '[{"content": "x"}]',
    '[{"role": 1, "content": "x"}]', '[{"role": "user", "content": 1}]', '[{"role": "user", "content": [1]}]',
    '[{"role": "user", "content": {}}]', '[{"role": "user", "content": [{"type": "text"}]}]',
    '[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}]',
    '[{"role": "user", "content": "x", "name": 1}]', '[{"role": "user", "content": "x", "x": 1}]',
    json.dumps([{"role": "user", "content": "x"}] * 2049),
]  # fmt: skip

NO_OBJECTS: list[bytes] = [
    b"", b" ", b"\n", b"null", b"true", b"1", b'"x"', b"[]", b"[1]", b'[{"prompt":"x"}]', b"{", b"}", b'{"prompt"',
    b'{"prompt":}', b'{"prompt":"x"', b'{"prompt":"x",}', b"{'prompt':'x'}", b"{prompt:1}", b'{"prompt":"x"}{}',
    b'{"prompt":"x"} x', b'{"prompt":NaN}', b'{"prompt":"x","n":NaN}', b'{"n":Infinity}', b'{"n":-Infinity}',
    b'{"n":01}', b'{"n":+1}', b'{"n":.5}', b'{"n":1.}', b'{"n":0x1}', b'{"n":1_0}', b'{"n":True}', b'{"n":None}',
    b'{"prompt":"\xff"}', b'{"prompt":"\xc3"}', b'{"prompt":"\xed\xa0\x80"}', b'{"prompt":"\\ud800"}',
    b'{"prompt":"\\ud800x"}', b'{"prompt":"\\udc00\\ud800"}', b'{"\\ud800":1}', b'{"prompt":"\\u12"}',
    b'{"prompt":"\\x41"}', b'{"prompt":"a\nb"}', b'{"prompt":"a\0b"}', b'\xef\xbb\xbf{"prompt":"x"}',
    '{"prompt":"x"}'.encode("utf-16"), '{"prompt":"x"}'.encode("utf-16-le"), '{"prompt":"x"}'.encode("utf-32"),
    b'{"prompt":"x"}\0', b"//\n{}", b'{"prompt":"x"/**/}', b"[" * 100_000, b'{"a":' * 100_000,
    b'{"prompt":"x","user":' + b"[" * 64 + b"]" * 64 + b"}", b'{"prompt":"x","prompt":"y"}',
    b'{"prompt":"x","user":{"a":1,"a":1}}', b'{"prompt":"x","user":[' + b"[]," * 70_000 + b"[]]}",
    b"\x00\x01\x02", b"prompt=x", b"<prompt>x</prompt>", b"---\nprompt: x\n",
]  # fmt: skip

CLIENT = httpx.Client(timeout=60)  # one for all: making one takes ten times as long as an answer


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    CLIENT.close()


def post(server: Server, endpoint: str, body: bytes) -> httpx.Response:
    return CLIENT.post(server.url + PATHS[endpoint], content=body, headers={"content-type": "application/json"})


def with_field(endpoint: str, name: str, value: str) -> bytes:
    return f"{{{PROMPTS[endpoint]}, {json.dumps(name)}: {value}}}".encode()


def calls(server: Server) -> int:
    """How many requests have reached an engine."""
    text = server.get("/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("alcove:requests_total{")]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


@pytest.mark.parametrize("endpoint", PATHS)
@pytest.mark.parametrize("name", WRONG)
def test_wrong_values_name_their_field(server: Server, endpoint: str, name: str) -> None:
    before = calls(server)
    for value in WRONG[name]:
        error = error_of(post(server, endpoint, with_field(endpoint, name, value)), 400)
        assert (error["param"] or "").replace("[", ".").split(".")[0] == name, (value, error)
        assert error["code"] == "invalid_value", (value, error)
        assert len(error["message"]) < 400
    assert calls(server) == before, "something has reached the engine"


def test_wrong_prompts(server: Server) -> None:
    before = calls(server)
    for value in WRONG_PROMPTS:
        error = error_of(post(server, "completions", b'{"prompt": %s}' % value.encode()), 400)
        assert error["param"].startswith("prompt"), (value[:80], error)
    for value in WRONG_MESSAGES:
        error = error_of(post(server, "chat", b'{"messages": %s}' % value.encode()), 400)
        assert error["param"].startswith("messages"), (value[:80], error)
    assert calls(server) == before


@pytest.mark.parametrize("endpoint", PATHS)
def test_what_is_no_json_object(server: Server, endpoint: str) -> None:
    for body in NO_OBJECTS:
        error = error_of(post(server, endpoint, body), 400)
        assert error["code"] == "invalid_json", body[:80]
        assert "\n" not in error["message"]


@pytest.mark.parametrize(
    "form", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx"]
)
def test_other_media_types(server: Server, form: str) -> None:
    response = httpx.post(server.url + PATHS["completions"], content=b'{"prompt":"x"}', headers={"content-type": form})
    assert error_of(response, 415)["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    ("fields", "fine"),
    [
        ({"n": 128, "max_tokens": 1}, True), ({"best_of": 20, "max_tokens": 1}, True),
        ({"stop": ["a" * 256] * 4}, True),
        ({"prompt": ["x"] * 2048, "max_tokens": 1}, True), ({"prompt": "x" * 8191, "max_tokens": 1}, True),
        ({"prompt": "x" * 8192, "max_tokens": 1}, False), ({"prompt": "x" * 8000, "max_tokens": 192}, True),
        ({"prompt": "x" * 8000, "max_tokens": 193}, False), ({"prompt": [1] * 8192, "max_tokens": 1}, False),
        ({"prompt": "x" * 2_000_000}, False), ({"seed": 2**63 - 1}, True), ({"user": "x" * 2_000_000}, True),
        ({"logit_bias": {str(i): -100 for i in range(257)}}, True), ({"temperature": 2, "top_p": 1}, True),
        ({"metadata": {"n": 2**64 - 1}}, True),
    ],
)  # fmt: skip
def test_limits_hold_to_the_last(server: Server, fields: dict[str, Any], fine: bool) -> None:
    response = server.post("/v1/completions", {"prompt": "x", **fields})
    if fine:
        assert response.status_code == 200, response.text[:300]
    else:
        assert error_of(response, 400)["code"] == "context_length_exceeded"


BOUNDS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("completions", "n", {"n": 128}, {"n": 129}),
    ("completions", "best_of", {"best_of": 20}, {"best_of": 21}),
    ("completions", "stop", {"stop": ["a"] * 4}, {"stop": ["a"] * 5}),
    ("completions", "logprobs", {"logprobs": 20}, {"logprobs": 21}),
    ("completions", "prompt_logprobs", {"prompt_logprobs": 20}, {"prompt_logprobs": 21}),
    ("completions", "prompt", {"prompt": ["x"] * 2048}, {"prompt": ["x"] * 2049}),
    ("chat", "top_logprobs", {"logprobs": True, "top_logprobs": 20}, {"logprobs": True, "top_logprobs": 21}),
    ("chat", "n", {"n": 128}, {"n": 129}),
]
"""What is still fine, and one more; the echo engine's vocabulary is too small for 1,024 biases."""


@pytest.mark.parametrize(("endpoint", "name", "last", "more"), BOUNDS)
def test_one_more_than_the_limit_is_refused_at_once(
    server: Server, endpoint: str, name: str, last: dict[str, Any], more: dict[str, Any]
) -> None:
    """The fastest of three counts: the machine may be doing something else."""
    simplest = json.loads(b"{%s}" % PROMPTS[endpoint].encode()) | {"max_tokens": 1}
    assert post(server, endpoint, json.dumps(simplest | last).encode()).status_code == 200
    _refused_at_once(server, endpoint, name, simplest | more)


def test_one_bias_more_than_the_limit_is_refused_at_once(server: Server) -> None:
    """That many are fine but for their ids, which this model does not have."""
    biases = [{"prompt": "x", "logit_bias": {str(i): 1 for i in range(count)}} for count in (1024, 1025)]
    error = error_of(post(server, "completions", json.dumps(biases[0]).encode()), 400)
    assert "token id 257" in error["message"]
    error = _refused_at_once(server, "completions", "logit_bias", biases[1])
    assert "1024" in error["message"]


def _refused_at_once(server: Server, endpoint: str, name: str, fields: dict[str, Any]) -> dict[str, Any]:
    before, took = calls(server), []
    for _ in range(3):
        begun = time.monotonic()
        response = post(server, endpoint, json.dumps(fields).encode())
        took.append(time.monotonic() - begun)
    error = error_of(response, 400)
    assert error["param"] == name
    assert calls(server) == before, "it has reached the engine"
    print(f"{name}: refused after {min(took) * 1000:.1f} ms")
    assert min(took) < 0.2
    return error


def test_the_size_of_a_body(server: Server) -> None:
    """The limit itself is fine, one more is not, declared or in chunks."""
    limit = 2 * 1024 * 1024
    body = b'{"prompt":"x","user":"%s"}'
    fits = body % (b"y" * (limit - len(body) + 2))
    assert len(fits) == limit
    assert post(server, "completions", fits).status_code == 200
    for content in (fits + b" ", iter([fits, b" "])):
        response = httpx.post(server.url + PATHS["completions"], content=content)
        assert error_of(response, 413)["code"] == "content_too_large"


def test_refusing_takes_no_time(server: Server) -> None:
    """Whatever is refused is refused before the work; the largest texts that make the most objects included."""
    bodies = [
        with_field("completions", "n", "1000000"),
        b'{"prompt": [%s1]}' % (b"1," * 1_000_000),
        b'{"prompt": "x", "user": [%s0]}' % (b"[]," * 65_000),
        b'{"prompt": "x", "logit_bias": {%s"1": 1}}' % b"".join(b'"%d": 1,' % i for i in range(100_000)),
        b'{"prompt": "%s"}' % (b"[" * 2_000_000),
        b'{"prompt": "%s"}' % (b'\\"' * 1_000_000),
    ]
    for body in bodies:
        begun = time.monotonic()
        post(server, "completions", body)
        assert time.monotonic() - begun < 2


names = st.sampled_from(
    ["prompt", "messages", "model", *WRONG, "user", "metadata", "tools", "suffix", "echo", "logprobs"]
)
odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from([float("inf"), 2**64, -1, 0, 1, "x", [], {}, {"role": "user", "content": "x"}]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
objects = st.dictionaries(names | st.text(max_size=6), odd_values, max_size=5).map(lambda o: json.dumps(o).encode())


@given(data=st.data(), endpoint=st.sampled_from(sorted(PATHS)))
def test_any_body_has_an_honest_answer(server: Server, data: st.DataObject, endpoint: str) -> None:
    """Objects of odd fields, and valid bodies with some bytes changed: answered, or refused in OpenAI's words."""
    body = data.draw(objects | st.just(with_field(endpoint, "stop", '["a", "b"]')))
    for at, byte in data.draw(
        st.lists(st.tuples(st.integers(0, max(len(body) - 1, 0)), st.binary(max_size=2)), max_size=3)
    ):
        body = body[:at] + byte + body[at + 1 :]
    response = post(server, endpoint, body)
    if response.status_code != 200:
        assert response.status_code in (400, 404), response.text
        error_of(response, response.status_code)
