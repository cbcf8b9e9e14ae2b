"""The set-ups of ctranslate2-fastapi and transformers-openai-api, as their users have them, without a change."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest

import alcove
from alcove.store.convert import convert
from tests.serving import Server, running

BUILTIN = Path(alcove.__file__).parent / "builtin"
TOKEN = "sk-forerunner-0123456789"


@pytest.fixture(scope="module")
def artifacts(zoo: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact folder of ctranslate2-fastapi: a T5 converted to int8, its tokenizer and a bootstrap_config.json."""
    folder = tmp_path_factory.mktemp("artifacts") / "LaMini-Tiny"
    convert(zoo("t5-untied"), folder, "int8")
    bootstrap = {"name": "LaMini-Flan-T5-Tiny", "params": 1, "quantization": "int8", "max_tokens": 80}
    (folder / "bootstrap_config.json").write_text(json.dumps(bootstrap))
    return folder


class TestCTranslate2FastAPI:
    @pytest.fixture(scope="class", params=["alcove serve", "uvicorn"])
    def server(
        self, artifacts: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Server]:
        environment = {"LLM_ARTIFACT_DIR": str(artifacts)}
        arguments, module = (
            (("serve",), "alcove") if request.param == "alcove serve" else (("alcove.asgi:app",), "uvicorn")
        )
        with running(*arguments, cwd=tmp_path_factory.mktemp("a"), environment=environment, module=module) as server:
            yield server

    def test_completion(self, server: Server) -> None:
        body = server.post("/completions", {"prompt": "What's the first name of the secret agent Bond?"}).json()
        assert body["model"] == "LaMini-Flan-T5-Tiny"
        assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
        assert body["usage"]["completion_tokens"] > 16, "the answer is limited by max_tokens of the bootstrap file"
        assert body["choices"][0]["text"]

    def test_chat(self, server: Server) -> None:
        messages = [
            {"role": "system", "content": "Respond like a helpful assistant."},
            {"role": "user", "content": "What's a nice reptile?"},
        ]
        message = server.post("/chat/completions", {"messages": messages}).json()["choices"][0]["message"]
        assert message["role"] == "assistant"
        assert not message["content"].startswith("Assistant:")

    def test_long_prompt_is_refused(self, server: Server) -> None:
        response = server.post("/completions", {"prompt": "word " * 200})
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "context_length_exceeded"

    def test_health_docs_and_log(self, server: Server) -> None:
        assert server.get("/health").status_code == 200
        assert server.get("/docs").status_code == 200
        assert "Loaded 'LaMini-Flan-T5-Tiny' model into memory" in server.log.read_text()


def test_readme_of_the_first_forerunner(tmp_path: Path) -> None:
    """Its two requests, in its words, from the built-in weights in its folder, by its prompt rules."""
    folder = tmp_path / "LaMini"
    shutil.copytree(BUILTIN / "alcove-seq2seq" / "ctranslate2", folder)
    bootstrap = {"name": "LaMini", "params": 2, "quantization": "int8", "max_tokens": 128}
    (folder / "bootstrap_config.json").write_text(json.dumps(bootstrap))
    with running("serve", cwd=tmp_path, environment={"LLM_ARTIFACT_DIR": "LaMini"}) as server:
        answer = server.post("/completions", {"prompt": "What's the first name of the secret agent Bond?"}).json()
        assert answer["choices"][0]["text"] == "James."
        messages = [
            {"role": "system", "content": "Respond like a helpful assistant."},
            {"role": "user", "content": "What's a nice reptile?"},
        ]
        chat = server.post("/chat/completions", {"messages": messages}).json()
        assert chat["choices"][0]["message"]["content"] == "A nice reptile is a snake."


class TestTransformersOpenAIAPI:
    @pytest.fixture(scope="class")
    def server(self, zoo: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
        folder = tmp_path_factory.mktemp("b")
        configuration = {
            "HOST": "127.0.0.1",
            "BEARER_TOKENS": [TOKEN],
            "METRICS": 1,
            "ENV": "production",
            "MODELS": {
                "text-davinci-003": {
                    "NAME": str(zoo("t5")),
                    "TYPE": "Seq2Seq",
                    "ENABLED": True,
                    "MODEL_CONFIG": {"device_map": "auto"},
                    "MODEL_DEVICE": None,
                    "TOKENIZER_CONFIG": {"use_fast": True},
                    "TOKENIZER_DEVICE": "cpu",
                    "GENERATE_CONFIG": {"num_beams": 2, "no_repeat_ngram_size": 3, "length_penalty": 1.5},
                    "DECODE_CONFIG": {"skip_special_tokens": True},
                },
                "text-curie-001": {
                    "NAME": str(zoo("gpt2")),
                    "TYPE": "CausalLM",
                    "MODEL_CONFIG": {"torch_dtype": "float16"},
                    "MODEL_DEVICE": "cpu",
                    "TOKENIZER_DEVICE": "cpu",
                    "GENERATE_CONFIG": {"max_new_tokens": 20},
                },
                "text-babbage-001": {"NAME": "no/such-model", "TYPE": "Seq2Seq", "ENABLED": False},
            },
        }
        (folder / "config.json").write_text(json.dumps(configuration))
        with running("serve", cwd=folder) as server:
            yield server

    def test_models_and_metrics(self, server: Server) -> None:
        headers = {"authorization": f"Bearer {TOKEN}"}
        engines = server.get("/v1/engines", headers=headers).json()["data"]
        assert [engine["id"] for engine in engines] == ["text-davinci-003", "text-curie-001"]
        client = openai.OpenAI(base_url=server.api, api_key=TOKEN)
        before = server.get("/v1/metrics", headers=headers).json()
        usage = client.completions.create(model="text-davinci-003", prompt="hello world").usage
        assert usage is not None
        after = server.get("/v1/metrics", headers=headers).json()
        assert after["total_total_tokens"] - before["total_total_tokens"] == usage.total_tokens
        assert after["model_metrics"]["text-davinci-003"]["calls"] >= 1

    def test_completions(self, server: Server) -> None:
        client = openai.OpenAI(base_url=server.api, api_key=TOKEN)
        answer = client.completions.create(
            model="text-curie-001",
            prompt=["hello", "world"],
            n=2,
            temperature=1,
            extra_body={"no_repeat_ngram_size": 2},
        )
        assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
        answer = client.completions.create(model="text-curie-001", prompt="hello", echo=True)
        assert answer.choices[0].text.startswith("hello")
        assert answer.usage is not None
        assert answer.usage.completion_tokens <= 20, "GENERATE_CONFIG's limit holds where the request has none"
        answer = client.completions.create(model="text-davinci-003", prompt="hello", n=2, extra_body={"num_beams": 3})
        assert len(answer.choices) == 2

    def test_token_is_needed(self, server: Server) -> None:
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=server.api, api_key="wrong", max_retries=0).models.list()


def test_first_set_up_listens_everywhere_with_a_warning(artifacts: Path, tmp_path: Path) -> None:
    """As in the forerunner's image: 0.0.0.0, no keys, and one loud line that says so."""
    with running(
        "serve", "--host", "0.0.0.0", cwd=tmp_path, environment={"LLM_ARTIFACT_DIR": str(artifacts)}
    ) as server:
        assert server.get("/v1/models").status_code == 200
        warnings = [line for line in server.log.read_text().splitlines() if "ALCOVE_API_KEYS" in line]
    assert len(warnings) == 1
