"""Every body against OpenAI's own schema, whole and streamed."""

import json
from typing import Any

import httpx
import pytest

from tests.conformance.schema import check
from tests.serving import Server

HELLO = {"messages": [{"role": "user", "content": "hello"}]}


def events(response: httpx.Response) -> list[Any]:
    """The data of server-sent events, parsed."""
    lines = response.text.split("\n\n")
    assert lines.pop() == "", "the last event must end with a blank line"
    assert all(line.startswith("data: ") for line in lines)
    return [line[6:] if line == "data: [DONE]" else json.loads(line[6:]) for line in lines]


@pytest.mark.parametrize("prompt", ["hello", ["hello", "you"], [104, 105], [[104], [105, 106]]])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("echo", [False, True])
def test_completion(server: Server, prompt: Any, n: int, echo: bool) -> None:
    response = server.post("/v1/completions", {"model": "echo", "prompt": prompt, "n": n, "echo": echo})
    assert response.status_code == 200
    body = response.json()
    check("CreateCompletionResponse", body)
    many = isinstance(prompt, list) and not isinstance(prompt[0], int)
    prompts = [p if isinstance(p, str) else bytes(p).decode() for p in (prompt if many else [prompt])]
    expected = [text * 2 if echo else text for text in prompts for _ in range(n)]
    assert [choice["text"] for choice in body["choices"]] == expected
    assert [choice["index"] for choice in body["choices"]] == list(range(len(expected)))
    tokens = sum(map(len, prompts))
    assert body["usage"] == {"prompt_tokens": tokens, "completion_tokens": tokens * n, "total_tokens": tokens * (n + 1)}


@pytest.mark.parametrize("usage", [False, True])
def test_streamed_completion(server: Server, usage: bool) -> None:
    body = {"prompt": ["hello", "you"], "n": 2, "stream": True, "stream_options": {"include_usage": usage}}
    response = server.post("/v1/completions", body)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    *chunks, done = events(response)
    assert done == "[DONE]"
    for chunk in chunks:
        check("CreateCompletionResponse", chunk)
    assert len({chunk["id"] for chunk in chunks}) == 1
    texts = ["", "", "", ""]
    for chunk in chunks:
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["text"]
    assert texts == ["hello", "hello", "you", "you"]
    assert [chunk["usage"]["total_tokens"] for chunk in chunks if "usage" in chunk] == ([24] if usage else [])
    assert not usage or chunks[-1]["choices"] == []


def test_chat(server: Server) -> None:
    body = server.post("/v1/chat/completions", {**HELLO, "n": 2}).json()
    check("CreateChatCompletionResponse", body)
    assert [choice["message"]["content"] for choice in body["choices"]] == ["hello", "hello"]
    assert {choice["finish_reason"] for choice in body["choices"]} == {"stop"}


def test_streamed_chat(server: Server) -> None:
    response = server.post("/v1/chat/completions", {**HELLO, "stream": True, "stream_options": {"include_usage": True}})
    *chunks, done = events(response)
    assert done == "[DONE]"
    for chunk in chunks:
        check("CreateChatCompletionStreamResponse", chunk)
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert [delta["role"] for delta in deltas if "role" in delta] == ["assistant"]
    assert "".join(delta.get("content", "") for delta in deltas) == "hello"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"] == {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}


def test_models(server: Server) -> None:
    check("ListModelsResponse", server.get("/v1/models").json())
    for path in ("echo", "org/echo", "org%2Fecho"):
        body = server.get(f"/v1/models/{path}").json()
        check("Model", body)
        assert body["id"] == "echo"


def test_engines(server: Server) -> None:
    listed = server.get("/v1/engines").json()
    assert listed["object"] == "list"
    assert {"object", "id", "ready", "owner", "permissions", "created"} <= listed["data"][0].keys()
    for engine in ("echo", "org/echo", "org%2Fecho"):
        answer = server.post(f"/v1/engines/{engine}/completions", {"prompt": "hi"}).json()
        assert (answer["model"], answer["choices"][0]["text"]) == ("echo", "hi")


def test_paths_without_v1_and_without_model(server: Server) -> None:
    assert server.post("/completions", {"prompt": "hi"}).json()["choices"][0]["text"] == "hi"
    assert server.post("/chat/completions", HELLO).json()["choices"][0]["message"]["content"] == "hello"


def test_own_document_describes_its_bodies(server: Server) -> None:
    document = server.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    text = json.dumps(document)
    for name in ("CompletionRequest", "ChatRequest", "Completion", "ChatCompletion", "ErrorBody", "ModelList"):
        assert name in document["components"]["schemas"]
    references = {piece.split('"')[0] for piece in text.split("#/components/schemas/")[1:]}
    assert references <= document["components"]["schemas"].keys()
    assert server.get("/docs").status_code == 200
