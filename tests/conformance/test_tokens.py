"""`/v1/tokenize`, `/v1/detokenize` and `/v1/score`, in vLLM's shapes."""

from typing import Any

import pytest

from tests.conformance.test_errors import error_of
from tests.serving import Server


@pytest.mark.parametrize("path", ["/v1/tokenize", "/tokenize"])
def test_tokens_of_a_text(server: Server, path: str) -> None:
    body = server.post(path, {"model": "echo", "prompt": "é!", "add_special_tokens": True}).json()
    assert body == {"count": 3, "max_model_len": body["max_model_len"], "tokens": [0xC3, 0xA9, 33], "token_strs": None}
    assert body["max_model_len"] > 1000
    strings = server.post(path, {"prompt": "a!", "return_token_strs": True, "user": "me"}).json()["token_strs"]
    assert strings == ["a", "!"]


def test_tokens_of_a_chat(server: Server) -> None:
    fields = {"model": "templated", "messages": [{"role": "user", "content": "a"}]}
    body = server.post("/v1/tokenize", {**fields, "chat_template_kwargs": {"mood": "b"}}).json()
    assert bytes(body["tokens"]) == b"b<a>"
    answer = server.post("/v1/chat/completions", {**fields, "return_token_ids": True}).json()
    assert bytes(answer["prompt_token_ids"]) == b"<a>"


@pytest.mark.parametrize("path", ["/v1/detokenize", "/detokenize"])
def test_text_of_tokens(server: Server, path: str) -> None:
    assert server.post(path, {"model": "echo", "tokens": [0xC3, 0xA9, 33]}).json() == {"prompt": "é!"}
    assert server.post(path, {"tokens": []}).json() == {"prompt": ""}


@pytest.mark.parametrize("model", ["echo", "translator"])
@pytest.mark.parametrize("normalize", ["sum", "mean"])
def test_scores(server: Server, model: str, normalize: str) -> None:
    fields = {"model": model, "text_1": "question", "text_2": ["yes", "no"], "normalize": normalize}
    body = server.post("/v1/score", fields).json()
    assert (body["object"], body["model"], body["id"][:6]) == ("list", model, "score-")
    assert body["data"] == [{"index": index, "score": 0.0, "object": "score"} for index in (0, 1)]
    tokens = 21 if model == "echo" else 23  # an answer is scored with its end
    assert body["usage"] == {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
    pairs = {"model": model, "text_1": ["a", "b"], "text_2": ["c", "d"]}
    assert [one["index"] for one in server.post("/v1/score", pairs).json()["data"]] == [0, 1]


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("tokenize", {}, "prompt"),
        ("tokenize", {"prompt": 1}, "prompt"),
        ("tokenize", {"prompt": "x", "nothing": 1}, "nothing"),
        ("tokenize", {"messages": []}, "messages"),
        ("tokenize", {"prompt": "x", "target_lang": "fr"}, "target_lang"),
        ("detokenize", {"tokens": [257]}, "tokens"),
        ("detokenize", {"tokens": [-1]}, "tokens[0]"),
        ("detokenize", {"tokens": "x"}, "tokens"),
        ("score", {"text_1": "x"}, "text_2"),
        ("score", {"text_1": "x", "text_2": []}, "text_2"),
        ("score", {"text_1": "x", "text_2": ["a", ""]}, "text_2"),
        ("score", {"text_1": ["x", "y"], "text_2": ["a", "b", "c"]}, "text_1"),
        ("score", {"text_1": "x", "text_2": ["a"] * 2049}, "text_2"),
        ("score", {"text_1": "x", "text_2": "a", "normalize": "max"}, "normalize"),
        ("score", {"model": "frugal", "text_1": "x", "text_2": ["a"] * 11}, "text_2[9]"),
    ],
)
def test_bad_requests(server: Server, path: str, fields: dict[str, Any], param: str) -> None:
    assert error_of(server.post(f"/v1/{path}", fields), 400)["param"] == param


def test_an_unknown_model(server: Server) -> None:
    for path, fields in (("tokenize", {"prompt": "x"}), ("detokenize", {"tokens": []})):
        assert error_of(server.post(f"/v1/{path}", {"model": "none", **fields}), 404)["param"] == "model"
