"""What fields do that need no model to show it: the echo engine is certain of the prompt, token by token."""

import inspect
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.conformance.schema import check
from tests.conformance.test_schema import events
from tests.serving import Server

EURO = "a€b"  # one letter, three bytes, as many tokens
PARTS = ["a", "bytes:\\xe2", "bytes:\\x82", "bytes:\\xac", "b"]


def complete(server: Server, **fields: Any) -> dict[str, Any]:
    """One choice of a completion, and the same of a stream, which must be equal."""
    response = server.post("/v1/completions", fields)
    assert response.status_code == 200, response.text
    body = response.json()
    check("CreateCompletionResponse", body)
    *chunks, done = events(server.post("/v1/completions", {**fields, "stream": True}))
    assert done == "[DONE]"
    for chunk in chunks:
        check("CreateCompletionResponse", chunk)
    choice: dict[str, Any] = body["choices"][0]
    assert joined([chunk["choices"][0] for chunk in chunks], "text") == choice
    return choice


def chat(server: Server, *, fields: dict[str, Any]) -> dict[str, Any]:
    response = server.post("/v1/chat/completions", fields)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    check("CreateChatCompletionResponse", body)
    *chunks, _ = events(server.post("/v1/chat/completions", {**fields, "stream": True}))
    for chunk in chunks:
        check("CreateChatCompletionStreamResponse", chunk)
    pieces = [{**piece, "text": piece["delta"].get("content", "")} for c in chunks for piece in c["choices"]]
    whole = {**body["choices"][0], "text": body["choices"][0]["message"]["content"]}
    del whole["message"]
    assert joined([{k: v for k, v in piece.items() if k != "delta"} for piece in pieces], "text") == whole
    for name in ("prompt_logprobs", "prompt_token_ids"):
        assert [chunk[name] for chunk in chunks if name in chunk] == ([body[name]] if name in body else [])
    return body


def joined(pieces: list[dict[str, Any]], text: str) -> dict[str, Any]:
    """What a client would make of a stream's pieces."""
    whole: dict[str, Any] = {}
    for piece in pieces:
        for name, value in piece.items():
            before = whole.get(name)
            if name in (text, "token_ids") and before is not None:
                whole[name] = before + value
            elif name == "logprobs" and before is not None:
                whole[name] = {key: before[key] and before[key] + part for key, part in value.items()}
            else:
                whole[name] = value if before is None else before if value is None else value
    return whole


def test_log_probabilities_of_a_completion(server: Server) -> None:
    choice = complete(server, prompt=EURO, logprobs=1)
    assert choice["logprobs"] == {
        "tokens": [*PARTS, "</s>"],  # as in OpenAI's, the end of sequence is the last
        "token_logprobs": [0.0] * 6,
        "top_logprobs": [{part: 0.0} for part in PARTS] + [{"</s>": 0.0}],
        "text_offset": [0, 1, 1, 1, 2, 3],
    }
    assert choice["text"] == EURO
    assert complete(server, prompt="ab", logprobs=0, max_tokens=2)["logprobs"]["tokens"] == ["a", "b"]
    assert complete(server, prompt="ab")["logprobs"] is None


def test_echo_with_log_probabilities(server: Server) -> None:
    choice = complete(server, prompt=EURO, logprobs=1, echo=True, max_tokens=1)
    assert choice["text"] == EURO + "a"
    assert choice["logprobs"] == {
        "tokens": [*PARTS, "a"],
        "token_logprobs": [None, *[0.0] * 5],
        "top_logprobs": [None, *({part: 0.0} for part in [*PARTS[1:], "a"])],
        "text_offset": [0, 1, 1, 1, 2, 3],
    }
    only = complete(server, prompt="ab", logprobs=0, echo=True, max_tokens=0)
    assert (only["text"], only["logprobs"]["tokens"], only["finish_reason"]) == ("ab", ["a", "b"], "length")


def test_log_probabilities_of_a_chat(server: Server) -> None:
    messages = [{"role": "user", "content": "é!"}]
    body = chat(server, fields={"messages": messages, "logprobs": True, "top_logprobs": 2})
    content = body["choices"][0]["logprobs"]["content"]
    assert [token["bytes"] for token in content] == [[0xC3], [0xA9], [33]]
    assert [token["token"] for token in content] == ["\ufffd", "\ufffd", "!"]
    assert content[2]["top_logprobs"] == [{"token": "!", "logprob": 0.0, "bytes": [33]}]
    bare = chat(server, fields={"messages": messages, "logprobs": True})["choices"][0]["logprobs"]
    assert (bare["refusal"], bare["content"][0]["top_logprobs"]) == (None, [])
    assert chat(server, fields={"messages": messages})["choices"][0]["logprobs"] is None


def test_prompt_log_probabilities(server: Server) -> None:
    told = [None, {"98": {"logprob": 0.0, "rank": 1, "decoded_token": "b"}}]
    assert complete(server, prompt="ab", prompt_logprobs=1)["prompt_logprobs"] == told
    body = chat(server, fields={"messages": [{"role": "user", "content": "ab"}], "prompt_logprobs": 1, "n": 1})
    assert body["prompt_logprobs"] == told
    unranked = complete(server, prompt="ab", prompt_logprobs=0, max_tokens=0)
    assert unranked["prompt_logprobs"][1]["98"]["rank"] is None


def test_what_log_probabilities_mean_with_an_encoder(server: Server) -> None:
    """The source has none; the decoder's prefix has."""
    choice = complete(
        server, model="translator", prompt="ab", decoder_prefix="xy", echo=True, logprobs=0, max_tokens=1,
        prompt_logprobs=1, return_token_ids=True,
    )  # fmt: skip
    assert choice["text"] == "abxya"
    assert choice["logprobs"]["tokens"] == ["x", "y", "a"]
    assert choice["logprobs"]["token_logprobs"] == [0.0] * 3
    assert choice["logprobs"]["text_offset"] == [2, 3, 4]
    assert [[*place] for place in choice["prompt_logprobs"]] == [["120"], ["121"]]
    assert (choice["prompt_token_ids"], choice["token_ids"]) == ([97, 98], [97])
    fields = {
        "model": "translator",
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}],
        "continue_final_message": True,
        "prompt_logprobs": 0,
    }
    body = chat(server, fields=fields)
    assert body["choices"][0]["message"]["content"] == "hi"
    assert [[*place] for place in body["prompt_logprobs"]] == [["121"], ["101"], ["115"]]


def test_token_ids(server: Server) -> None:
    choice = complete(server, prompt="abc", return_token_ids=True, max_tokens=2)
    assert (choice["prompt_token_ids"], choice["token_ids"]) == ([97, 98, 99], [97, 98])
    body = chat(server, fields={"messages": [{"role": "user", "content": "ab"}], "return_token_ids": True})
    assert (body["prompt_token_ids"], body["choices"][0]["token_ids"]) == ([97, 98], [97, 98])


@pytest.mark.parametrize(
    ("fields", "text", "finish", "reason", "tokens"),
    [
        ({}, "abcabc", "stop", None, 6),
        ({"stop": "ca"}, "ab", "stop", "ca", 4),
        ({"stop": ["x", "c"], "include_stop_str_in_output": True}, "abc", "stop", "c", 3),
        ({"stop_token_ids": [99]}, "ab", "stop", 99, 3),
        ({"stop_token_ids": [99], "include_stop_str_in_output": True}, "abc", "stop", 99, 3),
        ({"stop_token_ids": [99], "min_tokens": 4}, "abcab", "stop", 99, 6),
        ({"stop": "b", "min_tokens": 2}, "abca", "stop", "b", 5),
        ({"ignore_eos": True, "max_tokens": 8}, "abcabcab", "length", None, 8),
        ({"min_tokens": 7, "max_tokens": 9}, "abcabca", "stop", None, 7),
        ({"max_tokens": 2, "stop": "b"}, "a", "stop", "b", 2),
    ],
)
def test_ends(server: Server, fields: dict[str, Any], text: str, finish: str, reason: Any, tokens: int) -> None:
    choice = complete(server, prompt="abcabc", return_token_ids=True, **fields)
    assert (choice["text"], choice["finish_reason"], choice["stop_reason"]) == (text, finish, reason)
    assert len(choice["token_ids"]) == tokens


def test_the_best_of_several(server: Server) -> None:
    body = server.post("/v1/completions", {"prompt": ["ab", "c"], "n": 2, "best_of": 5}).json()
    check("CreateCompletionResponse", body)
    assert [(choice["index"], choice["text"]) for choice in body["choices"]] == [
        (0, "ab"),
        (1, "ab"),
        (2, "c"),
        (3, "c"),
    ]
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 15, "total_tokens": 18}
    assert body["choices"][0]["logprobs"] is None


def test_prompts_are_cut_at_their_beginning(server: Server) -> None:
    for prompt in ("abcdef", list(b"abcdef")):
        assert complete(server, prompt=prompt, truncate_prompt_tokens=2)["text"] == "ef"
    assert complete(server, prompt="x" * 9000 + "ab", truncate_prompt_tokens=-1, max_tokens=2)["text"] == "xx"


def test_variables_of_a_template(server: Server) -> None:
    fields = {"model": "templated", "messages": [{"role": "user", "content": "hi"}]}
    assert chat(server, fields=fields)["choices"][0]["message"]["content"] == "<hi>"
    said = chat(server, fields={**fields, "chat_template_kwargs": {"mood": "glad"}})
    assert said["choices"][0]["message"]["content"] == "glad<hi>"
    turns = [*fields["messages"], {"role": "assistant", "content": "well"}]
    open_ended = chat(server, fields={**fields, "messages": turns, "continue_final_message": True})
    assert open_ended["choices"][0]["message"]["content"] == "<hi><well"


VALUES: dict[str, Any] = {
    "audio": {"voice": "x", "format": "mp3"}, "best_of": 2, "echo": True, "frequency_penalty": 0.5,
    "function_call": {"name": "f"}, "functions": [{"name": "f"}], "logit_bias": {"97": 1}, "max_completion_tokens": 5,
    "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], "metadata": {"a": "b"}, "modalities": ["audio"],
    "model": "echo", "moderation": {"model": "x"}, "n": 2, "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": 0.5, "prompt": "x", "prompt_cache_key": "x",
    "prompt_cache_options": {}, "prompt_cache_retention": "24h",
    "reasoning_effort": "low", "response_format": {"type": "json_object"}, "safety_identifier": "x", "seed": 3,
    "service_tier": "flex", "stop": "z", "store": True, "stream": False, "stream_options": {"include_usage": True},
    "suffix": "y", "temperature": 0.5, "tool_choice": "required", "tools": [{"type": "function"}], "top_logprobs": 2,
    "top_p": 0.5, "user": "me", "verbosity": "low", "web_search_options": {},
}  # fmt: skip
"""A value that asks for something, for every field of the client's own signatures."""
REFUSED = {
    "completions": {"suffix"},
    "chat": {
        "audio", "function_call", "functions", "modalities", "moderation", "prediction", "response_format",
        "service_tier", "store", "tool_choice", "tools", "web_search_options",
    },
}  # fmt: skip


def signature(method: Any) -> Iterator[str]:
    yield from (name for name in inspect.signature(method).parameters if not name.startswith(("extra_", "timeout")))


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
def test_every_field_of_the_clients_signature(server: Server, endpoint: str) -> None:
    client = openai.OpenAI(base_url=server.api, api_key="none", max_retries=0)
    create: Any = client.completions.create if endpoint == "completions" else client.chat.completions.create
    base: dict[str, Any] = {"model": "echo", "max_tokens": 5}
    base |= {"prompt": "x"} if endpoint == "completions" else {"messages": VALUES["messages"]}
    for name in signature(create):
        value = (True if endpoint == "chat" else 2) if name == "logprobs" else VALUES[name]
        fields = base | {name: value} | ({"logprobs": True} if name == "top_logprobs" else {})
        if name in REFUSED[endpoint]:
            with pytest.raises(openai.BadRequestError) as caught:
                create(**fields)
            assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter")
            assert f"'{name}'" in caught.value.message
        else:
            assert create(**fields).choices
