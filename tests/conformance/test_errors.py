"""Every error is OpenAI's error: the table of what can go wrong, by HTTP; by the client: `test_error_classes.py`."""

import socket
from typing import Any

import httpx
import pytest

from tests.conformance.schema import check
from tests.conformance.test_schema import events
from tests.serving import Server

CHAT = {"messages": [{"role": "user", "content": "hi"}]}

BAD_COMPLETIONS: list[tuple[dict[str, Any], str, str | None]] = [
    ({}, "prompt", "missing_required_parameter"),
    ({"prompt": 3}, "prompt", "invalid_value"),
    ({"prompt": []}, "prompt", "invalid_value"),
    ({"prompt": ["a", 1]}, "prompt", "invalid_value"),
    ({"prompt": [1, True]}, "prompt", "invalid_value"),
    ({"prompt": [-1]}, "prompt", "invalid_value"),
    ({"prompt": "x", "temperature": 2.5}, "temperature", "invalid_value"),
    ({"prompt": "x", "temperature": "1"}, "temperature", "invalid_value"),
    ({"prompt": "x", "temperature": True}, "temperature", "invalid_value"),
    ({"prompt": "x", "top_p": -0.1}, "top_p", "invalid_value"),
    ({"prompt": "x", "n": 0}, "n", "invalid_value"),
    ({"prompt": "x", "n": 129}, "n", "invalid_value"),
    ({"prompt": "x", "n": 1.5}, "n", "invalid_value"),
    ({"prompt": "x", "max_tokens": 0}, "max_tokens", "invalid_value"),
    ({"prompt": "x", "stop": ["a"] * 5}, "stop", "invalid_value"),
    ({"prompt": "x", "stop": [""]}, "stop", "invalid_value"),
    ({"prompt": "x", "stream": "yes"}, "stream", "invalid_value"),
    ({"prompt": "x", "stream_options": {"include_use": True}}, "stream_options.include_use", "invalid_value"),
    ({"prompt": "x", "temprature": 1}, "temprature", "unknown_parameter"),
    ({"prompt": "x", "suffix": "y"}, "suffix", "unsupported_parameter"),
    ({"prompt": "x", "repetition_penalty": 1.5}, "repetition_penalty", "unsupported_parameter"),
    ({"prompt": "x", "allowed_token_ids": [1]}, "allowed_token_ids", "unsupported_parameter"),
    ({"prompt": "x", "bad_words": ["a"]}, "bad_words", "unsupported_parameter"),
    ({"prompt": "x", "bad_words_ids": [[1]]}, "bad_words_ids", "unsupported_parameter"),
    ({"prompt": "x", "num_beams": 4}, "num_beams", "unsupported_parameter"),
    ({"prompt": "x", "use_beam_search": True, "n": 2}, "use_beam_search", "unsupported_parameter"),
    ({"prompt": "x", "eta_cutoff": 0.5}, "eta_cutoff", "unsupported_parameter"),
    ({"prompt": "x", "top_logprobs": 2}, "top_logprobs", "unsupported_parameter"),
    ({"prompt": "x", "logprobs": True}, "logprobs", "invalid_value"),
    ({"prompt": "x", "n": 3, "best_of": 2}, "best_of", "invalid_value"),
    ({"prompt": "x", "logit_bias": {"257": 1}}, "logit_bias", "invalid_value"),
    ({"prompt": "x", "stop_token_ids": [257]}, "stop_token_ids", "invalid_value"),
    ({"prompt": "x", "truncate_prompt_tokens": 0}, "truncate_prompt_tokens", "invalid_value"),
    ({"prompt": "x", "decoder_prefix": "y"}, "decoder_prefix", None),
    ({"model": "translator", "prompt": "x", "prompt_logprobs": 1}, "prompt_logprobs", "unsupported_parameter"),
    ({"model": "translator", "prompt": "x", "echo": True, "logprobs": 1}, "logprobs", "unsupported_parameter"),
    ({"model": "translator", "prompt": "x", "decoder_prefix": [257]}, "decoder_prefix", "invalid_value"),
    ({"model": "frugal", "prompt": "x", "n": 11}, "n", "invalid_value"),
    ({"model": "frugal", "prompt": "x", "n": 10, "logprobs": 1}, "n", "invalid_value"),
    ({"model": "frugal", "prompt": "x", "max_tokens": 641}, "max_tokens", "invalid_value"),
    ({"model": "frugal", "prompt": ["x"] * 11}, "prompt[10]", "invalid_value"),
    ({"prompt": "x", "target_lang": "fr"}, "target_lang", None),
    ({"prompt": "x", "max_tokens": 8192}, "prompt", "context_length_exceeded"),
    ({"prompt": "x" * 9000}, "prompt", "context_length_exceeded"),
    ({"prompt": ["x", "x" * 9000]}, "prompt[1]", "context_length_exceeded"),
]

BAD_CHATS: list[tuple[dict[str, Any], str, str | None]] = [
    ({}, "messages", "missing_required_parameter"),
    ({"messages": []}, "messages", "invalid_value"),
    ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role", "invalid_value"),
    ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "invalid_value"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]},
        "messages[0].content",
        "invalid_value",
    ),
    ({**CHAT, "response_format": {"type": "json_object"}}, "response_format", "unsupported_parameter"),
    ({**CHAT, "tools": [{"type": "function"}]}, "tools", "unsupported_parameter"),
    ({**CHAT, "store": True}, "store", "unsupported_parameter"),
    ({**CHAT, "logprobs": 1}, "logprobs", "invalid_value"),
    ({**CHAT, "top_logprobs": 1}, "top_logprobs", "invalid_value"),
    ({**CHAT, "echo": True}, "echo", "unsupported_parameter"),
    ({**CHAT, "chat_template": "x"}, "chat_template", "unsupported_parameter"),
    ({**CHAT, "chat_template_kwargs": {"mood": 1}}, "chat_template_kwargs", None),
    ({**CHAT, "continue_final_message": True}, "continue_final_message", None),
    ({**CHAT, "model": "templated", "chat_template_kwargs": {"tokenize": True}}, "chat_template_kwargs.tokenize", None),
    ({**CHAT, "model": "templated", "chat_template_kwargs": {"messages": []}}, "chat_template_kwargs.messages", None),
    (
        {**CHAT, "model": "templated", "chat_template_kwargs": {"mood": "x" * 4096}},
        "chat_template_kwargs.mood",
        "invalid_value",
    ),
    (
        {**CHAT, "model": "templated", "chat_template_kwargs": {"mood": [{"a": 10**7}]}},
        "chat_template_kwargs.mood",
        "invalid_value",
    ),
]


def error_of(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    check("ErrorResponse", response.json())
    error: dict[str, Any] = response.json()["error"]
    return error


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fields", "param", "code"), BAD_COMPLETIONS)
def test_bad_completion(server: Server, fields: dict[str, Any], param: str, code: str | None, stream: bool) -> None:
    error = error_of(server.post("/v1/completions", {"stream": stream, **fields}), 400)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert param.partition("[")[0] in error["message"] or code == "context_length_exceeded"


@pytest.mark.parametrize(("fields", "param", "code"), BAD_CHATS)
def test_bad_chat(server: Server, fields: dict[str, Any], param: str, code: str | None) -> None:
    error = error_of(server.post("/v1/chat/completions", fields), 400)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)


@pytest.mark.parametrize(
    "fields",
    [
        {"presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "best_of": 1, "suffix": None, "user": "me"},
        {"temperature": 0, "top_p": 1, "top_k": -1, "num_beams": 1, "repetition_penalty": 1, "logprobs": None},
        {
            "min_p": 0,
            "typical_p": 1.0,
            "bad_words_ids": [],
            "seed": None,
            "suffix": "",
            "stop": None,
            "metadata": {"a": "b"},
        },
    ],
)
def test_neutral_and_harmless_fields_are_fine(server: Server, fields: dict[str, Any]) -> None:
    assert server.post("/v1/completions", {"prompt": "hi", **fields}).json()["choices"][0]["text"] == "hi"


def test_the_budget_of_a_request(server: Server) -> None:
    """Ten choices of at most 64 tokens are 640; the product is refused before anything is made."""
    fine: list[dict[str, Any]] = [{"n": 10}, {"max_tokens": 640}, {"n": 5, "logprobs": 1}, {"n": 2, "best_of": 10}]
    for fields in fine:
        assert server.post("/v1/completions", {"model": "frugal", "prompt": "x", **fields}).status_code == 200
    for fields in ({"n": 2, "best_of": 11}, {"max_tokens": 320, "n": 3}):
        error = error_of(server.post("/v1/completions", {"model": "frugal", "prompt": "x", **fields}), 400)
        assert error["param"] in fields
        assert "640" in error["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[1]", b'"x"', b'{"prompt": NaN}', b'{"prompt": "\xff"}', b'{"prompt": "\\ud800"}',
             '{"prompt": "x"}'.encode("utf-16"), b"[" * 100_000]
)  # fmt: skip
def test_what_is_not_a_json_object(server: Server, body: bytes) -> None:
    response = httpx.post(f"{server.api}/completions", content=body, headers={"content-type": "application/json"})
    assert error_of(response, 400)["code"] == "invalid_json"


def test_wrong_media_type_and_large_body(server: Server) -> None:
    response = httpx.post(f"{server.api}/completions", content=b"{}", headers={"content-type": "text/plain"})
    assert error_of(response, 415)["code"] == "unsupported_media_type"
    response = httpx.post(f"{server.api}/completions", content=b" " * (2 * 1024 * 1024 + 1))
    assert error_of(response, 413)["code"] == "content_too_large"


def test_unknown_paths_methods_and_models(server: Server) -> None:
    assert error_of(server.get("/v1/nothing"), 404)["code"] == "unknown_url"
    response = server.get("/v1/completions")
    assert error_of(response, 405)["code"] == "method_not_allowed"
    assert response.headers["allow"] == "POST"
    for response in (server.get("/v1/models/ecko"), server.post("/v1/completions", {"model": "ecko", "prompt": "x"})):
        error = error_of(response, 404)
        assert (error["code"], error["param"]) == ("model_not_found", "model")
        assert "'echo'" in error["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_engine_failure_before_the_first_token(server: Server, stream: bool) -> None:
    error = error_of(server.post("/v1/completions", {"model": "failing", "prompt": "hello", "stream": stream}), 500)
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert "told to fail" not in error["message"], "the cause belongs into the log"


def test_engine_failure_in_a_stream(server: Server) -> None:
    body = {"model": "failing-late", "prompt": "hello", "stream": True}
    *chunks, last = events(server.post("/v1/completions", body))
    assert "".join(choice["text"] for chunk in chunks for choice in chunk["choices"]) == "hel"
    check("ErrorResponse", last)


def test_queue_is_bounded(server: Server) -> None:
    """One request runs, one waits, further ones are refused at once and told when to come back."""
    with httpx.Client(timeout=30) as client:
        streams = []
        for _ in range(2):
            request = client.build_request(
                "POST", f"{server.api}/completions",
                json={"model": "slow", "prompt": "x" * 60, "max_tokens": 60, "stream": True},
            )  # fmt: skip
            socket_ = socket.create_connection((request.url.host, request.url.port))
            socket_.sendall(
                f"POST {request.url.path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                f"content-length: {len(request.content)}\r\n\r\n".encode()
                + request.content
            )
            streams.append(socket_)
            # the first must be running before the second comes, else they share a batch
            while not streams[0].recv(1, socket.MSG_PEEK):
                pass
        refused = [server.post("/v1/completions", {"model": "slow", "prompt": "x"}) for _ in range(3)]
        for stream in streams:
            stream.close()
    overloaded = [response for response in refused if response.status_code == 503]
    assert overloaded
    assert error_of(overloaded[0], 503)["code"] == "server_is_overloaded"
    assert int(overloaded[0].headers["retry-after"]) <= 120
