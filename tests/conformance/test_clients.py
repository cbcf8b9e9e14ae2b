"""The clients that people use: openai of today and of 2023 (0.28), LangChain."""

import json
import subprocess
import sys
from pathlib import Path

import openai
import pytest
from langchain_openai import ChatOpenAI, OpenAI

from tests.serving import Server, clean_environment

OPENAI_028 = Path(sys.prefix) / "openai-0.28"
"""Where `make setup` puts the old client, beside the new one."""


@pytest.fixture(scope="module")
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.api, api_key="none", max_retries=0)


def test_completion(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="echo", prompt="hello there", stop="there", user="me")
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("hello ", "stop")
    chunks = client.completions.create(model="echo", prompt="hello there", stop="there", stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "hello "


def test_empty_answer(client: openai.OpenAI) -> None:
    """A stop string at once: nothing is left, and only the token that completed it counts."""
    whole = client.completions.create(model="echo", prompt="hello", stop="h")
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("", "stop")
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 1
    chunks = list(client.completions.create(model="echo", prompt="hello", stop="h", stream=True))
    assert [(choice.text, choice.finish_reason) for chunk in chunks for choice in chunk.choices] == [("", "stop")]


def test_chat(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "grüß dich, 世界"}]}]
    whole = client.chat.completions.create(model="echo", messages=messages, max_completion_tokens=9)
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 9
    text = ""
    with client.chat.completions.create(model="echo", messages=messages, max_tokens=9, stream=True) as chunks:
        for chunk in chunks:
            text += chunk.choices[0].delta.content or ""
    assert text == whole.choices[0].message.content == "grüß di"


def test_answer_sent_back_as_it_came(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "one"}])
    history = [
        {"role": "user", "content": "one"},
        first.choices[0].message.model_dump(),
        {"role": "user", "content": "two"},
    ]
    second = client.chat.completions.create(model="echo", messages=history)
    assert second.choices[0].message.content == "Question: one\n\nAssistant: one\n\nQuestion: two\n\nAssistant:"


def test_models(client: openai.OpenAI) -> None:
    assert "echo" in [model.id for model in client.models.list()]
    assert client.models.retrieve("org/echo").id == "echo"


async def test_asynchronous_client(server: Server) -> None:
    async with openai.AsyncOpenAI(base_url=server.api, api_key="none") as client:
        stream = await client.completions.create(model="echo", prompt="abc", stream=True)
        assert "".join([chunk.choices[0].text async for chunk in stream]) == "abc"


SCRIPT_028 = """
import json, openai
assert openai.__version__.startswith("0.28"), openai.__version__
text = lambda chunks: "".join(chunk["choices"][0]["text"] for chunk in chunks)
print(json.dumps({
    "completion": openai.Completion.create(model="echo", prompt="old friend")["choices"][0]["text"],
    "engine": openai.Completion.create(engine="org/echo", prompt="old friend")["choices"][0]["text"],
    "stream": text(openai.Completion.create(model="echo", prompt="old friend", stream=True)),
    "chat": openai.ChatCompletion.create(model="echo", messages=[{"role": "user", "content": "old friend"}])
        ["choices"][0]["message"]["content"],
    "engines": [engine["id"] for engine in openai.Engine.list()["data"]],
    "models": [model["id"] for model in openai.Model.list()["data"]],
}))
"""


def test_openai_0_28(server: Server) -> None:
    assert OPENAI_028.is_dir(), f"run `make setup`: {OPENAI_028} is missing"
    environment = clean_environment(PYTHONPATH=str(OPENAI_028), OPENAI_API_BASE=server.api, OPENAI_API_KEY="none")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT_028], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert {answers[kind] for kind in ("completion", "engine", "stream", "chat")} == {"old friend"}
    assert "echo" in answers["engines"]
    assert answers["engines"] == answers["models"]


def test_langchain(server: Server) -> None:
    llm = OpenAI(base_url=server.api, api_key="none", model="echo", temperature=0)
    assert llm.invoke("hello") == "hello"
    assert "".join(llm.stream("hello")) == "hello"
    chat = ChatOpenAI(base_url=server.api, api_key="none", model="echo", temperature=0)
    answer = chat.invoke("hello")
    assert answer.content == "hello"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 10
    assert "".join(str(chunk.content) for chunk in chat.stream("hello")) == "hello"
