import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcove.config.access import LOCAL_NAMES
from alcove.config.load import Loaded, examine, load
from alcove.config.settings import ServerSettings, Settings
from alcove.errors import ConfigurationError

MODEL = '[[model]]\nname = "t5"\nsource = "org/t5"\n'


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "alcove.toml"
    path.write_text(MODEL)
    return path


def loaded(
    cwd: Path, what: str | None = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Loaded:
    return load(what, environ or {}, flags or {}, cwd)


def refusal(cwd: Path, text: str | None = None, **given_: Any) -> str:
    if text is not None:
        (cwd / "alcove.toml").write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        loaded(cwd, **given_)
    assert "\n" not in str(refused.value)
    return str(refused.value).replace(f"{cwd}/", "")


class TestWhat:
    def test_nothing_at_all_is_the_built_in_models(self, tmp_path: Path) -> None:
        found = loaded(tmp_path)
        assert [(model.name, model.source, model.default) for model in found.settings.models] == [
            ("alcove-seq2seq", "builtin:alcove-seq2seq", True),
            ("alcove-chat", "builtin:alcove-chat", False),
        ]
        local = ServerSettings(allowed_hosts=LOCAL_NAMES)
        assert found.settings == Settings(models=found.settings.models, server=local)
        assert found.warnings == ()

    @pytest.mark.parametrize("what", ["alcove-chat", "builtin:alcove-chat"])
    def test_a_built_in_model(self, tmp_path: Path, what: str) -> None:
        (model,) = loaded(tmp_path, what).settings.models
        assert (model.name, model.source) == ("alcove-chat", "builtin:alcove-chat")

    def test_a_pulled_name(self, tmp_path: Path) -> None:
        (model,) = loaded(tmp_path, "google/flan-t5-base").settings.models
        assert (model.name, model.source) == ("google/flan-t5-base", "google/flan-t5-base")

    def test_a_revision_of_a_pulled_name(self, tmp_path: Path) -> None:
        (model,) = loaded(tmp_path, "google/flan-t5-base@refs/pr/1").settings.models
        assert (model.name, model.source) == ("google/flan-t5-base@refs/pr/1", "google/flan-t5-base@refs/pr/1")

    def test_a_model_folder_is_named_after_itself(self, tmp_path: Path) -> None:
        folder = tmp_path / "my-model"
        folder.mkdir()
        for what in ("my-model", "./my-model", str(folder)):
            (model,) = loaded(tmp_path, what).settings.models
            assert (model.name, model.source) == ("my-model", str(folder))
        (model,) = loaded(folder, ".").settings.models
        assert model.name == "my-model"

    @pytest.mark.parametrize(("config", "beside"), [('{"model_type": "t5"}', None), ("{}", "model.bin")])
    def test_the_config_json_of_a_model_means_its_folder(self, tmp_path: Path, config: str, beside: str | None) -> None:
        (tmp_path / "config.json").write_text(config)
        if beside:
            (tmp_path / beside).touch()
        (model,) = loaded(tmp_path, "config.json").settings.models
        assert model.source == str(tmp_path)

    def test_alcove_toml_of_the_working_directory_or_a_folder(self, toml: Path) -> None:
        for what in (None, "alcove.toml", str(toml.parent)):
            assert [model.name for model in loaded(toml.parent, what).settings.models] == ["t5"]
        assert loaded(toml.parent.parent, str(toml)).settings.models[0].name == "t5"

    def test_a_models_config_json_in_the_working_directory_is_none_of_ours(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text('{"model_type": "t5"}')
        assert loaded(tmp_path).settings.models[0].source == "builtin:alcove-seq2seq"

    def test_the_environment_names_it_too_and_an_argument_goes_first(self, toml: Path) -> None:
        environ = {"ALCOVE_CONFIG": "alcove-chat"}
        assert loaded(toml.parent, environ=environ).settings.models[0].name == "alcove-chat"
        assert loaded(toml.parent, "alcove.toml", environ).settings.models[0].name == "t5"

    @pytest.mark.parametrize(
        "what", ["absent.toml", "./absent", "/absent", "config.json", "../absent/model", "~nobody-here/x"]
    )
    def test_absent(self, tmp_path: Path, what: str) -> None:
        assert refusal(tmp_path, what=what) == f"{what}: no such file or folder, nor the name of a model"

    def test_absent_with_something_near(self, tmp_path: Path) -> None:
        (tmp_path / "my-model").mkdir()
        (tmp_path / "alcove.toml").write_text(MODEL)
        absent = "no such file or folder, nor the name of a model; did you mean"
        assert refusal(tmp_path, what="./my-modle/") == f"./my-modle/: {absent} './my-model'?"
        assert refusal(tmp_path, what="alcov.toml") == f"alcov.toml: {absent} 'alcove.toml'?"
        assert refusal(tmp_path, what=f"{tmp_path}/alcov.toml") == f"alcov.toml: {absent} 'alcove.toml'?"

    def test_a_file_of_another_kind(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        assert refusal(tmp_path, what="notes.txt") == "notes.txt: a configuration file ends in .toml or .json"
        (tmp_path / "other.json").write_text("{}")
        assert refusal(tmp_path, what="other.json").startswith("other.json: has no MODELS")


class TestToml:
    def test_every_table(self, tmp_path: Path) -> None:
        (tmp_path / "models" / "t5").mkdir(parents=True)
        (tmp_path / "alcove.toml").write_text(
            """
            [server]
            host = "::1"
            port = 9000
            cors_origins = ["https://a.example"]
            drain_timeout_s = 5
            [auth]
            insecure_no_auth = true
            [[model]]
            name = "t5"
            source = "models/t5"
            aliases = ["small"]
            default = true
            prompt = { profile = "languagemodels", format = "Q: {instruction}" }
            generation = { num_beams = 4, suppress_tokens = [1, 2] }
            engine_options = { model = { attn_implementation = "eager" } }
            [[model]]
            name = "org/other"
            source = "org/other"
            """
        )
        found = loaded(tmp_path)
        server, (first, second) = found.settings.server, found.settings.models
        assert (server.host, server.port, server.cors_origins) == ("::1", 9000, ("https://a.example",))
        assert server.drain_timeout_s == 5.0
        assert found.settings.auth.insecure_no_auth
        assert first.source == str(tmp_path / "models" / "t5")
        assert (first.aliases, first.default) == (("small",), True)
        assert (first.prompt.profile, first.prompt.format) == ("languagemodels", "Q: {instruction}")
        assert first.generation == {"num_beams": 4, "suppress_tokens": [1, 2]}
        assert first.engine_options == {"model": {"attn_implementation": "eager"}}
        assert (second.name, second.source, second.default) == ("org/other", "org/other", False)

    def test_paths_are_relative_to_the_file(self, tmp_path: Path) -> None:
        folder = tmp_path / "etc"
        folder.mkdir()
        (folder / "keys").write_text("k")
        (folder / "keys").chmod(0o600)
        (folder / "chat.jinja").write_text("{{ messages }}")
        (folder / "alcove.toml").write_text(
            '[auth]\nkeys_file = "keys"\n'
            '[[model]]\nname = "a"\nsource = "./a"\nprompt = { chat_template = "chat.jinja" }\n'
            '[[model]]\nname = "b"\nsource = "org/b"\nprompt = { chat_template = "{{ messages[0].content }}" }\n'
        )
        found = loaded(tmp_path, "etc/alcove.toml").settings
        assert len(found.auth.keys) == 1
        assert [model.source for model in found.models] == [f"{folder}/a", "org/b"]
        templates = [model.prompt.chat_template for model in found.models]
        assert templates == [f"{folder}/chat.jinja", "{{ messages[0].content }}"]

    def test_a_value_too_long_for_a_path_is_a_value(self, tmp_path: Path) -> None:
        long = "x" * 5000
        (tmp_path / "alcove.toml").write_text(
            f'[[model]]\nname = "a"\nsource = "{long}"\nprompt = {{ chat_template = "{long}" }}\n'
        )
        (model,) = loaded(tmp_path, "alcove.toml").settings.models
        assert (model.source, model.prompt.chat_template) == (long, long)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "[server\n",
                "alcove.toml: not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 8)",
            ),
            ("[server]\nprot = 1\n" + MODEL, "alcove.toml: server.prot: unknown key; did you mean 'port'?"),
            ("[servers]\n" + MODEL, "alcove.toml: servers: unknown key; did you mean 'server'?"),
            ("[[models]]\nname = 'a'\n", "alcove.toml: models: unknown key; did you mean 'model'?"),
            (MODEL + "engin = 'auto'\n", "alcove.toml: model 't5'.engin: unknown key; did you mean 'engine'?"),
            (
                MODEL + "prompt.profil = 'x'\n",
                "alcove.toml: model 't5'.prompt.profil: unknown key; did you mean 'profile'?",
            ),
            ("[server]\nzzz = 1\n" + MODEL, "alcove.toml: server.zzz: unknown key"),
            ('"z\\n\\u2028z" = 1\n' + MODEL, r"alcove.toml: z\n\u2028z: unknown key"),
            ('[server]\nport = "80"\n' + MODEL, 'alcove.toml: server.port: should be a valid integer, not "80"'),
            ("[server]\nport = true\n" + MODEL, "alcove.toml: server.port: should be a valid integer, not true"),
            (
                "[server]\nport = 70000\n" + MODEL,
                "alcove.toml: server.port: should be less than or equal to 65535, not 70000",
            ),
            ("server = 3\n" + MODEL, "alcove.toml: server: should be a table, not 3"),
            (MODEL + "prompt = 'x'\n", "alcove.toml: model 't5'.prompt: should be a table, not 'x'"),
            (
                "[server]\ndrain_timeout_s = inf\n" + MODEL,
                "alcove.toml: server.drain_timeout_s: should be a finite number",
            ),
            (
                MODEL + "engine = 'ctranslate'\n",
                "alcove.toml: model 't5'.engine: should be 'auto', 'ctranslate2', 'transformers' or 'echo', not "
                "\"ctranslate\"; did you mean 'ctranslate2'?",
            ),
            (MODEL + "aliases = [1]\n", "alcove.toml: model 't5'.aliases: should be a valid string, not 1"),
            (MODEL + "prompt.format = 'x'\n", "alcove.toml: model 't5'.prompt.format: should contain {instruction}"),
            ("model = 3\n", "alcove.toml: model: should be tables, each headed [[model]]"),
            ("[[model]]\nsource = 'a'\n", "alcove.toml: model 1: 'name' is missing"),
            ("[[model]]\nname = 'a'\n", "alcove.toml: model 'a': 'source' is missing"),
            (
                "[[model]]\nname = ''\nsource = 'a'\n",
                "alcove.toml: model ''.name: String should have at least 1 character",
            ),
            ("", "alcove.toml: no model is enabled"),
            (MODEL + MODEL, "alcove.toml: model 't5'.name: a model before it is named 't5', too"),
            (
                MODEL + "[[model]]\nname = 'b'\nsource = 'b'\naliases = ['t5']\n",
                "alcove.toml: model 'b'.aliases: a model before it is named 't5', too",
            ),
            (
                MODEL + "default = true\n[[model]]\nname = 'b'\nsource = 'b'\ndefault = true\n",
                "alcove.toml: model 'b'.default: 't5' is the default already",
            ),
            (
                "[auth]\nkeys = ['secret']\n" + MODEL,
                "alcove.toml: auth.keys: keys do not belong into a configuration file; ",
            ),
        ],
    )
    def test_one_line_names_file_and_key(self, tmp_path: Path, text: str, message: str) -> None:
        assert refusal(tmp_path, text).startswith(message)

    def test_not_text(self, tmp_path: Path) -> None:
        (tmp_path / "alcove.toml").write_bytes(b"\xff\xfe")
        assert refusal(tmp_path) == "alcove.toml: not a text file in UTF-8"

    @pytest.mark.parametrize("value", ["9" * 5000, "[" * 100_000 + "]" * 100_000])
    def test_what_is_too_large_to_be_read(self, tmp_path: Path, value: str) -> None:
        assert refusal(tmp_path, f"a = {value}\n").startswith("alcove.toml: not valid TOML: ")
        (tmp_path / "config.json").write_text(f'{{"MODELS": {value}}}')
        assert refusal(tmp_path, what="config.json").startswith("config.json: not valid JSON: ")

    @pytest.mark.parametrize(
        ("key", "fine", "wrong", "message"),
        [
            (
                "cors_origins",
                ["*", "null", "https://chat.example", "http://[::1]:3000", "app://obsidian.md", "file://"],
                ["chat.example", "https://chat.example/", "https://Chat.example", "https://a b", ""],
                "should be * or an origin like https://chat.example, in small letters and without a path",
            ),
            (
                "allowed_hosts",
                ["*", "*.models.example", "Models.example", "10.0.0.5", "[::1]", "my_host"],
                ["models.example:8000", "https://models.example", "models.example.", "::1", "a/b", ""],
                "should be a name like models.example or *.models.example, without scheme and port",
            ),
            ("otel_endpoint", [], ["127.0.0.1:4318"], "should begin with http:// or https:// and a host"),
        ],
    )
    def test_what_no_browser_would_send(
        self, tmp_path: Path, key: str, fine: list[str], wrong: list[str], message: str
    ) -> None:
        """A value that can never match would be without effect, and nobody would know why."""
        for value in wrong:
            text = json.dumps(value if key == "otel_endpoint" else [*fine, value])
            assert refusal(tmp_path, f"[server]\n{key} = {text}\n{MODEL}").startswith(
                f"alcove.toml: server.{key}: {message}, not "
            )
        (tmp_path / "alcove.toml").write_text(f"[server]\n{key} = {json.dumps(fine)}\n{MODEL}" if fine else MODEL)
        assert loaded(tmp_path).settings.models


class TestExamine:
    def test_all_that_is_wrong_and_what_can_be_used_of_the_rest(self, tmp_path: Path) -> None:
        (tmp_path / "alcove.toml").write_text(
            "[server]\nprot = 1\nport = 'x'\nhost = '::1'\n"
            "[[model]]\n"
            "[[model]]\nname = 3\nsource = 'a'\n"
            "[[model]]\nname = 'b'\nsource = 'b'\nengine = 'x'\nthreads = 2\n"
        )
        found = examine(None, {"ALCOVE_DEVICE": "cpu", "ALCOVE_DEVICES": "cpu"}, {}, tmp_path)
        assert [problem.replace(f"{tmp_path}/", "").partition(": should")[0] for problem in found.problems] == [
            "alcove.toml: server.prot: unknown key; did you mean 'port'?",
            "alcove.toml: model 1: 'name' is missing",
            "alcove.toml: model 1: 'source' is missing",
            "environment: ALCOVE_DEVICES: unknown variable; did you mean 'ALCOVE_DEVICE'?",
            "alcove.toml: server.port",
            "alcove.toml: model 3.name",
            "alcove.toml: model 'b'.engine",
        ]
        (model,) = found.settings.models
        assert (model.name, model.engine, model.threads, model.device) == ("b", "auto", 2, "cpu")
        assert (found.settings.server.host, found.settings.server.port) == ("::1", 8000)
        assert found.origins["models[0].threads"] == f"{tmp_path}/alcove.toml: model 'b'.threads"
        assert found.origins["models[0].engine"] == "default"

    def test_a_file_that_cannot_be_read_does_not_hide_the_environment(self, tmp_path: Path) -> None:
        (tmp_path / "alcove.toml").write_text("[server")
        toml, variable = examine(None, {"ALCOVE_PROT": "1", "ALCOVE_HOST": "0.0.0.0"}, {}, tmp_path).problems
        assert "not valid TOML" in toml
        assert variable.startswith("environment: ALCOVE_PROT")

    def test_load_says_the_first_in_one_line_and_how_many_there_are(self, tmp_path: Path) -> None:
        message = refusal(tmp_path, "[server]\nprot = 1\nhots = 1\n" + MODEL)
        assert message == (
            "alcove.toml: server.prot: unknown key; did you mean 'port'? (and 1 more: `alcove check` says all)"
        )

    def test_nothing_is_wrong(self, toml: Path) -> None:
        assert examine(None, {}, {}, toml.parent) == load(None, {}, {}, toml.parent)


class TestOrder:
    PORTS = st.none() | st.integers(1, 65535)

    @given(file=PORTS, variable=PORTS, flag=PORTS)
    def test_defaults_file_environment_flags(
        self, tmp_path_factory: pytest.TempPathFactory, file: int | None, variable: int | None, flag: int | None
    ) -> None:
        folder = tmp_path_factory.mktemp("order", numbered=True)
        (folder / "alcove.toml").write_text((f"[server]\nport = {file}\n" if file else "") + MODEL)
        found = loaded(folder, environ={"ALCOVE_PORT": str(variable)} if variable else {}, flags={"port": flag})
        assert found.settings.server.port == next(port for port in (flag, variable, file, 8000) if port is not None)
        expected = {
            flag: "flag: --port",
            variable: "environment: ALCOVE_PORT",
            file: f"{folder}/alcove.toml: server.port",
            8000: "default",
        }
        first = next(port for port in (flag, variable, file, 8000) if port is not None)
        if [flag, variable, file, 8000].count(first) == 1:
            assert found.origins["server.port"] == expected[first]

    def test_an_origin_for_every_value(self, toml: Path) -> None:
        found = loaded(toml.parent, environ={"ALCOVE_DEVICE": "cpu", "ALCOVE_HOME": "/store"}, flags={"engine": "echo"})
        origins = found.origins
        assert origins["models[0].name"] == f"{toml}: model 't5'.name"
        assert origins["models[0].device"] == "environment: ALCOVE_DEVICE"
        assert origins["models[0].engine"] == "flag: --engine"
        assert origins["models[0].prompt.profile"] == "default"
        assert (origins["home"], found.settings.home) == ("environment: ALCOVE_HOME", Path("/store"))
        assert {f"server.{name}" for name in ServerSettings.model_fields} <= origins.keys()


class TestEnvironment:
    def test_types(self, tmp_path: Path) -> None:
        server = loaded(
            tmp_path,
            environ={
                "ALCOVE_DOCS": "false",
                "ALCOVE_CORS_ORIGINS": "https://a, https://b",
                "ALCOVE_DRAIN_TIMEOUT_S": "1.5",
                "ALCOVE_LOG_LEVEL": "error",
                "ALCOVE_HOST": "",
            },
        ).settings.server
        assert server == ServerSettings(
            docs=False,
            cors_origins=("https://a", "https://b"),
            allowed_hosts=LOCAL_NAMES,
            drain_timeout_s=1.5,
            log_level="error",
        )

    def test_a_models_variable_holds_for_every_model(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, environ={"ALCOVE_COMPUTE_TYPE": "float32", "ALCOVE_THREADS": "2"})
        assert [(model.compute_type, model.threads) for model in found.settings.models] == [("float32", 2)] * 2

    @pytest.mark.parametrize("variable", ["ALCOVE_HOST", "ALCOVE_CORS_ORIGINS", "ALCOVE_HOME", "ALCOVE_DEVICE"])
    def test_bytes_that_are_no_text(self, tmp_path: Path, variable: str) -> None:
        environ = {variable: os.fsdecode(b"\xff")}
        assert refusal(tmp_path, environ=environ).startswith(f"environment: {variable}: should be text in UTF-8")

    def test_a_folder_whose_name_is_no_text(self, tmp_path: Path) -> None:
        folder = os.fsdecode(b"m\xff")
        (tmp_path / folder).mkdir()
        assert refusal(tmp_path, what=f"./{folder}").startswith(r"WHAT: ./m\udcff: should be text in UTF-8")

    @pytest.mark.parametrize(
        ("variable", "value", "message"),
        [
            ("ALCOVE_PROT", "1", "environment: ALCOVE_PROT: unknown variable; did you mean 'ALCOVE_PORT'?"),
            ("ALCOVE_PORT", "http", "environment: ALCOVE_PORT: should be a valid integer"),
            ("ALCOVE_PORT", "-1", "environment: ALCOVE_PORT: should be greater than or equal to 0, not -1"),
            ("ALCOVE_DOCS", "perhaps", "environment: ALCOVE_DOCS: should be a valid boolean"),
            ("ALCOVE_ENGINE", "ct2", "environment: ALCOVE_ENGINE: should be 'auto', 'ctranslate2'"),
        ],
    )
    def test_one_line_names_the_variable(self, tmp_path: Path, variable: str, value: str, message: str) -> None:
        assert refusal(tmp_path, environ={variable: value}).startswith(message)

    def test_what_kubernetes_sets_for_a_service_named_alcove_is_not_ours(self, tmp_path: Path) -> None:
        environ = {
            "ALCOVE_SERVICE_HOST": "10.0.0.1",
            "ALCOVE_SERVICE_PORT": "80",
            "ALCOVE_PORT": "tcp://10.0.0.1:80",
            "ALCOVE_PORT_80_TCP": "tcp://10.0.0.1:80",
            "ALCOVE_PORT_80_TCP_ADDR": "10.0.0.1",
            "ALCOVE_GPU_SERVICE_HOST": "10.0.0.2",
            "ALCOVE_GPU_PORT": "tcp://10.0.0.2:80",
        }
        assert loaded(tmp_path, environ=environ).settings.server.port == 8000

    @pytest.mark.parametrize(
        ("text", "level"), [("DEBUG", "debug"), ("Warning", "warning"), ("CRITICAL", "error"), ("INFO", "info")]
    )
    def test_the_log_level_of_ctranslate2_fastapi(self, tmp_path: Path, text: str, level: str) -> None:
        assert loaded(tmp_path, environ={"LOGGING_LEVEL": text}).settings.server.log_level == level
        ours = {"LOGGING_LEVEL": text, "ALCOVE_LOG_LEVEL": "error"}
        assert loaded(tmp_path, environ=ours).settings.server.log_level == "error"

    def test_an_unknown_log_level_is_ignored_with_a_warning(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, environ={"LOGGING_LEVEL": "loud"})
        assert found.settings.server.log_level == "info"
        assert found.warnings[0].startswith("environment: LOGGING_LEVEL: 'loud' is none of DEBUG, ")

    @pytest.mark.parametrize(
        ("environ", "home"),
        [
            ({"XDG_DATA_HOME": "/data"}, Path("/data/alcove")),
            ({"XDG_DATA_HOME": "/data", "ALCOVE_HOME": "/store"}, Path("/store")),
            ({}, Path.home() / ".local" / "share" / "alcove"),
        ],
    )
    def test_home(self, tmp_path: Path, environ: dict[str, str], home: Path) -> None:
        assert loaded(tmp_path, environ=environ).settings.home == home
