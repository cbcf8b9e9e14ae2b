"""The set-ups of both forerunners, key by key."""

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from alcove.config.load import Loaded, load
from alcove.config.settings import ModelSettings
from alcove.errors import ConfigurationError


def refusal(folder: Path, **given: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(given.get("what"), given.get("environ", {}), {}, folder)
    assert "\n" not in str(refused.value)
    return str(refused.value).replace(f"{folder}/", "")


class TestArtifactFolder:
    BOOTSTRAP: ClassVar = {"name": "LaMini-Flan-T5-248M", "params": 0.248, "quantization": "int8", "max_tokens": 512}
    FILES = ("model.bin", "config.json", "shared_vocabulary.txt", "tokenizer.json")

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "MBZUAI" / "LaMini-Flan-T5-248M"
        folder.mkdir(parents=True)
        for name in self.FILES:
            (folder / name).write_text("{}")
        self.write(folder)
        return folder

    def write(self, folder: Path, **more: Any) -> None:
        (folder / "bootstrap_config.json").write_text(json.dumps(self.BOOTSTRAP | more))

    def load(self, folder: Path, **flags: Any) -> Loaded:
        return load(None, {"LLM_ARTIFACT_DIR": str(folder)}, flags, folder.parent)

    def test_every_key(self, folder: Path) -> None:
        self.write(folder, prompt_fmt="Instruction: {instruction}\nResponse:")
        found = self.load(folder)
        (model,) = found.settings.models
        assert model == ModelSettings.model_validate(
            {
                "name": "LaMini-Flan-T5-248M",
                "source": str(folder),
                "engine": "ctranslate2",
                "compute_type": "int8",
                "max_prompt_tokens": 512,
                "max_output_tokens": 512,
                "prompt": {"profile": "languagemodels", "format": "Instruction: {instruction}\nResponse:"},
                "generation": {"max_new_tokens": 512},
            }
        )
        assert found.warnings == ()
        assert (found.settings.server.host, found.settings.server.port) == ("127.0.0.1", 8000)
        assert found.origins["models[0].compute_type"] == f"{folder}/bootstrap_config.json: quantization"

    def test_the_prompt_format_is_optional(self, folder: Path) -> None:
        assert self.load(folder).settings.models[0].prompt.format is None

    def test_it_goes_before_the_working_directory_and_after_what_is_asked_for(self, folder: Path) -> None:
        (folder.parent / "alcove.toml").write_text('[[model]]\nname = "other"\nsource = "a/b"\n')
        assert self.load(folder).settings.models[0].name == "LaMini-Flan-T5-248M"
        asked = load("alcove-chat", {"LLM_ARTIFACT_DIR": str(folder)}, {}, folder.parent)
        assert asked.settings.models[0].name == "alcove-chat"

    def test_the_same_folder_as_an_argument(self, folder: Path) -> None:
        for what in (str(folder), str(folder / "bootstrap_config.json")):
            (model,) = load(what, {}, {}, folder.parent).settings.models
            assert (model.name, model.prompt.profile) == ("LaMini-Flan-T5-248M", "languagemodels")

    @pytest.mark.parametrize("missing", [*FILES, "bootstrap_config.json"])
    def test_a_missing_file_is_named(self, folder: Path, missing: str) -> None:
        (folder / missing).unlink()
        message = refusal(folder, environ={"LLM_ARTIFACT_DIR": str(folder)})
        assert message.startswith(f"environment: LLM_ARTIFACT_DIR: {folder}: ")
        assert missing in message
        assert message.endswith(" is missing")

    def test_no_such_folder(self, tmp_path: Path) -> None:
        message = refusal(tmp_path, environ={"LLM_ARTIFACT_DIR": "/absent"})
        assert message == "environment: LLM_ARTIFACT_DIR: no such folder: /absent"

    def test_unknown_keys_are_named_in_a_warning(self, folder: Path) -> None:
        self.write(folder, max_token=3)
        (warning,) = self.load(folder).warnings
        assert warning == (
            f"{folder}/bootstrap_config.json: max_token: unknown key, ignored; did you mean 'max_tokens'?"
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"name": ', "bootstrap_config.json: not valid JSON: Expecting value (at line 1, column 10)"),
            ("[]", "bootstrap_config.json: should hold a JSON object ({...}), not list"),
            ('{"params": 1}', "bootstrap_config.json: 'name' is missing"),
            (
                '{"name": "a", "max_tokens": "512"}',
                'bootstrap_config.json: max_tokens: should be a valid integer, not "512"',
            ),
            (
                '{"name": "a", "prompt_fmt": "Q:"}',
                "bootstrap_config.json: prompt_fmt: should contain {instruction}, which stands for the prompt",
            ),
        ],
    )
    def test_one_line_names_file_and_key(self, folder: Path, text: str, message: str) -> None:
        (folder / "bootstrap_config.json").write_text(text)
        assert refusal(folder, environ={"LLM_ARTIFACT_DIR": str(folder)}).startswith(message)

    def test_open_on_the_network_with_a_loud_warning(self, folder: Path) -> None:
        found = self.load(folder, host="0.0.0.0")
        assert found.settings.auth.insecure_no_auth
        (warning,) = found.warnings
        assert warning.startswith("ANYONE WHO REACHES 0.0.0.0, PORT 8000, CAN USE THIS SERVER")
        assert "ALCOVE_API_KEYS" in warning
        assert self.load(folder, host="0.0.0.0", insecure_no_auth=True).warnings == ()


class TestConfigJson:
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "MODELS": {
            "text-davinci-003": {
                "ENABLED": True,
                "TYPE": "Seq2Seq",
                "NAME": "google/flan-t5-base",
                "MODEL_CONFIG": {"device_map": "auto"},
                "MODEL_DEVICE": None,
                "TOKENIZER_CONFIG": {},
                "GENERATE_CONFIG": {},
                "DECODE_CONFIG": {"skip_special_tokens": True},
            },
            "text-curie-001": {
                "ENABLED": False,
                "TYPE": "CausalLM",
                "NAME": "facebook/opt-350m",
                "MODEL_CONFIG": {"torch_dtype": "float16"},
                "TOKENIZER_CONFIG": {"use_fast": False},
                "GENERATE_CONFIG": {"max_new_tokens": 2048},
            },
            "text-babbage-001": {
                "ENABLED": False,
                "TYPE": "Seq2Seq",
                "NAME": "pszemraj/pegasus-x-large-book-summary",
                "MODEL_DEVICE": "cpu",
                "TOKENIZER_DEVICE": "cpu",
                "GENERATE_CONFIG": {
                    "num_beams": 4,
                    "length_penalty": 0.8,
                    "no_repeat_ngram_size": 3,
                    "max_tokens": 512,
                },
            },
        }
    }
    """The shape of the forerunner's own example file."""

    def write(self, folder: Path, data: Any = None, **more: Any) -> Path:
        path = folder / "config.json"
        path.write_text(data if isinstance(data, str) else json.dumps({**self.EXAMPLE, **(data or {}), **more}))
        return path

    def load(self, folder: Path, data: Any = None, **more: Any) -> Loaded:
        self.write(folder, data, **more)
        return load(None, {}, {}, folder)

    def one(self, folder: Path, **model: Any) -> ModelSettings:
        base = {"NAME": "a/b", "TYPE": "CausalLM"}
        (settings,) = self.load(folder, MODELS={"name": base | model}).settings.models
        return settings

    def test_its_example_file_unchanged(self, tmp_path: Path) -> None:
        found = self.load(tmp_path)
        assert found.settings.models == (
            ModelSettings(
                name="text-davinci-003",
                source="google/flan-t5-base",
                engine="transformers",
                task="seq2seq",
                device="map",
                engine_options={
                    "model": {"device_map": "auto"},
                    "tokenizer": {},
                    "decode": {"skip_special_tokens": True},
                },
            ),
        )
        server = found.settings.server
        assert (server.host, server.port, server.json_metrics, server.log_level) == ("127.0.0.1", 5000, False, "info")
        assert found.settings.auth.keys == ()
        assert found.warnings == ()

    def test_its_other_models_when_enabled(self, tmp_path: Path) -> None:
        models = {name: model | {"ENABLED": True} for name, model in self.EXAMPLE["MODELS"].items()}
        _, curie, babbage = self.load(tmp_path, MODELS=models).settings.models
        assert (curie.name, curie.task, curie.device) == ("text-curie-001", "causal", "cuda")
        assert curie.engine_options == {"model": {"torch_dtype": "float16"}, "tokenizer": {"use_fast": False}}
        assert curie.generation == {"max_new_tokens": 2048}
        assert babbage.device == "cpu"
        assert babbage.generation == {
            "num_beams": 4,
            "length_penalty": 0.8,
            "no_repeat_ngram_size": 3,
            "max_length": 512,  # what the forerunner's max_tokens meant
        }
        assert not any(model.default for model in (curie, babbage))

    def test_the_path_as_an_argument(self, tmp_path: Path) -> None:
        path = self.write(tmp_path)
        assert load(str(path), {}, {}, Path("/")).settings.server.port == 5000
        renamed = path.rename(tmp_path / "mine.json")
        assert load(str(renamed), {}, {}, Path("/")).settings.models[0].name == "text-davinci-003"

    def test_host_port_and_flags_over_them(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, HOST="127.0.0.2", PORT=80)
        server = load(str(path), {}, {}, tmp_path).settings.server
        assert (server.host, server.port) == ("127.0.0.2", 80)
        assert load(str(path), {}, {"port": 81}, tmp_path).settings.server.port == 81

    @pytest.mark.parametrize(("metrics", "served"), [(1, True), (0, False), (True, True)])
    def test_metrics(self, tmp_path: Path, metrics: int, served: bool) -> None:
        assert self.load(tmp_path, METRICS=metrics).settings.server.json_metrics is served

    @pytest.mark.parametrize(("env", "level"), [("production", "info"), ("development", "debug")])
    def test_env(self, tmp_path: Path, env: str, level: str) -> None:
        assert self.load(tmp_path, ENV=env).settings.server.log_level == level

    def test_bearer_tokens(self, tmp_path: Path) -> None:
        found = self.load(tmp_path, BEARER_TOKENS=["sk-1", "sk-2"], HOST="0.0.0.0")
        digests = [hashlib.sha256(token).hexdigest() for token in (b"sk-1", b"sk-2")]
        assert [key.digest for key in found.settings.auth.keys] == digests
        assert not found.settings.auth.insecure_no_auth
        assert found.warnings == ()

    def test_without_tokens_open_on_the_network_with_a_loud_warning(self, tmp_path: Path) -> None:
        found = self.load(tmp_path, HOST="0.0.0.0")
        assert found.settings.auth.insecure_no_auth
        assert found.warnings[0].startswith("ANYONE WHO REACHES 0.0.0.0, PORT 5000, CAN USE THIS SERVER")
        assert found.origins["auth.insecure_no_auth"].endswith("config.json: a forerunner's set-up")

    def test_a_folder_as_name(self, tmp_path: Path) -> None:
        (tmp_path / "weights").mkdir()
        assert self.one(tmp_path, NAME="weights").source == str(tmp_path / "weights")

    def test_enabled_and_devices_by_default(self, tmp_path: Path) -> None:
        model = self.one(tmp_path)
        assert (model.name, model.device, model.engine_options, model.generation) == ("name", "cuda", {}, {})
        assert self.one(tmp_path, TOKENIZER_DEVICE=None, MODEL_DEVICE="cuda:1").device == "cuda:1"

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ({"HOSTS": "a"}, "config.json: HOSTS: unknown key; did you mean 'HOST'?"),
            ({"port": 1}, "config.json: port: unknown key"),
            ({"PORT": "80"}, 'config.json: PORT: should be a valid integer, not "80"'),
            ({"METRICS": "on"}, "config.json: METRICS: should be a whole number, not 'on'"),
            ({"ENV": 1}, "config.json: ENV: should be a text, not 1"),
            ({"MODELS": []}, "config.json: MODELS: should be an object, not []"),
            ({"MODELS": {}}, "config.json: no model is enabled"),
            ({"MODELS": {"a": {"ENABLED": False}}}, "config.json: no model is enabled"),
            ({"MODELS": {"a": 1}}, "config.json: MODELS.a: should be an object"),
            ({"BEARER_TOKENS": []}, "config.json: BEARER_TOKENS: holds no token"),
            (
                {"BEARER_TOKENS": ["\ud800"]},
                "config.json: BEARER_TOKENS: should be a list of texts, none of them empty",
            ),
            ({"BEARER_TOKENS": "sk"}, "config.json: BEARER_TOKENS: should be a list of texts, none of them empty"),
            (
                {"BEARER_TOKENS": ["sk", ""]},
                "config.json: BEARER_TOKENS: should be a list of texts, none of them empty",
            ),
        ],
    )
    def test_one_line_names_file_and_key(self, tmp_path: Path, more: dict[str, Any], message: str) -> None:
        self.write(tmp_path, more)
        assert refusal(tmp_path).startswith(message)

    @pytest.mark.parametrize(
        ("model", "message"),
        [
            (
                {"TYPE": "Seq2seq"},
                "TYPE: unknown type 'Seq2seq'; it is one of Seq2Seq, CausalLM; did you mean 'Seq2Seq'?",
            ),
            ({"TYPE": 3}, "TYPE: should be a text, not 3"),
            ({"NAME": None}, "NAME: should be a text, not None"),
            ({"ENABLED": "no"}, "ENABLED: should be true or false, not 'no'"),
            ({"MODEL_DEVICE": 0}, "MODEL_DEVICE: should be a text, not 0"),
            ({"TOKENIZER_DEVICE": 0}, "TOKENIZER_DEVICE: should be a text, not 0"),
            ({"MODEL_CONFIG": []}, "MODEL_CONFIG: should be an object, not []"),
            ({"GENERATE_CONFIG": 1}, "GENERATE_CONFIG: should be an object, not 1"),
            ({"DECODE_CONFIG": 1}, "DECODE_CONFIG: should be an object, not 1"),
            ({"GENERATION_CONFIG": {}}, "GENERATION_CONFIG: unknown key; did you mean 'GENERATE_CONFIG'?"),
        ],
    )
    def test_one_line_names_the_model(self, tmp_path: Path, model: dict[str, Any], message: str) -> None:
        self.write(tmp_path, MODELS={"name": {"NAME": "a/b", "TYPE": "CausalLM"} | model})
        assert refusal(tmp_path) == f"config.json: MODELS.name.{message}"

    @pytest.mark.parametrize("key", ["NAME", "TYPE"])
    def test_a_missing_key_is_named(self, tmp_path: Path, key: str) -> None:
        model = {"NAME": "a/b", "TYPE": "CausalLM"}
        del model[key]
        self.write(tmp_path, MODELS={"name": model})
        assert refusal(tmp_path) == f"config.json: MODELS.name.{key}: is missing"

    def test_broken_json(self, tmp_path: Path) -> None:
        self.write(tmp_path, '{\n  "MODELS": {,}\n}')
        message = refusal(tmp_path)
        assert message.startswith("config.json: not valid JSON: ")
        assert message.endswith("(at line 2, column 14)")

    def test_two_models_of_one_name(self, tmp_path: Path) -> None:
        self.write(tmp_path, '{"MODELS": {"a": {"NAME": "x", "TYPE": "CausalLM"}, "a": {}}}')
        assert refusal(tmp_path) == "config.json: a: is there twice"
