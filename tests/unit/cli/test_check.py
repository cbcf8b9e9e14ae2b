"""`alcove check`: all that is wrong in one run, with the nearest right name."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from alcove.store.find import PACKAGED

from .conftest import Ran

BUILTIN = '[[model]]\nname = "chat"\nsource = "builtin:alcove-chat"\n'
Alcove = Callable[..., Ran]


def lines(folder: Path, ran: Ran) -> list[str]:
    """What is wrong, without the words that every line has."""
    assert (ran.code, ran.out) == (2, "")
    found = ran.err.replace(f"{folder}/", "").splitlines()
    assert all(line.startswith("alcove: ") for line in found)
    return [line.removeprefix("alcove: ") for line in found]


def test_everything_that_is_wrong_is_said_at_once(
    folder: Path, alcove: Alcove, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALCOVE_PROT", "1")
    monkeypatch.setenv("ALCOVE_WORKERS", "many")
    (folder / "alcove.toml").write_text(
        """
        [server]
        prot = 1
        host = "0.0.0.0"
        max_body_bytes = 1
        [[model]]
        name = "nothing"
        compute_type = 8
        [[model]]
        name = "a"
        source = "builtin:alcove-chat"
        engine = "ctranslate"
        prompt = { profil = "x" }
        [[model]]
        name = "b"
        source = "builtin:alcove-chat"
        aliases = ["a"]
        generation = { num_beam = 4 }
        """
    )
    assert lines(folder, alcove("check")) == [
        "alcove.toml: server.prot: unknown key; did you mean 'port'?",
        "alcove.toml: model 'nothing': 'source' is missing",
        "alcove.toml: model 'a'.prompt.profil: unknown key; did you mean 'profile'?",
        "environment: ALCOVE_PROT: unknown variable; did you mean 'ALCOVE_PORT'?",
        "environment: ALCOVE_WORKERS: should be a valid integer, unable to parse string as an integer, not 'many'",
        "alcove.toml: server.max_body_bytes: should be greater than or equal to 1024, not 1",
        "alcove.toml: model 'nothing'.compute_type: should be a valid string, not 8",
        "alcove.toml: model 'a'.engine: should be 'auto', 'ctranslate2', 'transformers' or 'echo', not \"ctranslate\"; "
        "did you mean 'ctranslate2'?",
        "alcove.toml: model 'b'.aliases: a model before it is named 'a', too",
        "server.host is 0.0.0.0 and there are no keys, so that anyone could use the server: put keys into the "
        "environment variable ALCOVE_API_KEYS, listen on 127.0.0.1, or say --insecure-no-auth",
        "alcove.toml: model 'b'.generation.num_beam: is not supported by the engine ctranslate2; did you mean "
        "'num_beams'?",
    ]
    (first,) = alcove("serve").err.splitlines()
    assert first.endswith("server.prot: unknown key; did you mean 'port'? (and 9 more: `alcove check` says all)")


def test_what_is_right_stays_quiet(folder: Path, alcove: Alcove) -> None:
    (folder / "chat.jinja").write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    (folder / "alcove.toml").write_text(
        BUILTIN
        + """
        device = "cuda:1"
        compute_type = "int8_float32"
        generation = { num_beams = 1, max_new_tokens = 9, do_sample = true, temperature = 0.5 }
        engine_options = { mixed_lengths = true, decode = { skip_special_tokens = false } }
        prompt = { chat_template = "chat.jinja" }
        [[model]]
        name = "other"
        source = "builtin:alcove-chat"
        engine = "transformers"
        compute_type = "int8_float16"
        generation = { top_h = 0.5 }
        engine_options = { continuous_batching = { cache_tokens = 64 }, model = { torch_dtype = "float16" } }
        [[model]]
        name = "echo"
        source = "builtin:echo"
        engine_options = { delay_s = 0.1 }
        """
    )
    ran = alcove("check")
    assert (ran.code, ran.err) == (0, "")
    assert "models[2].engine_options" in ran.out


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("device = 'gpu'", "device: should be auto, cpu, cuda, cuda:N or map, not 'gpu'"),
        ("device = 'cud'", "device: should be auto, cpu, cuda, cuda:N or map, not 'cud'; did you mean 'cuda'?"),
        ("compute_type = 'float23'", "compute_type: should be auto, bfloat16, float16, "),
        (
            "generation.temperatur = 1",
            "generation.temperatur: is not supported by the engine ctranslate2; did you mean",
        ),
        ("generation.max_new_token = 1", "generation.max_new_token: is not supported by the engine ctranslate2; did"),
        ("generation.temperature = 'hot'", "generation: temperature must be a number, not 'hot'"),
        ("generation.top_h = 0.5", "generation.top_h: is not supported by the engine ctranslate2"),
        (
            "engine = 'echo'",
            "engine: PACKAGED/alcove-chat/ctranslate2 holds a ctranslate2 model, which the engine echo",
        ),
        ("task = 'seq2seq'", 'source: PACKAGED/alcove-chat/ctranslate2 holds a causal model, but task = "seq2seq" is'),
        (
            "engine_options.mixed_length = true",
            "engine_options.mixed_length: the engine ctranslate2 takes mixed_lengths,",
        ),
        (
            "engine_options.decode = { skip = true }",
            "engine_options.decode.skip: unknown; alcove takes clean_up_tokeniz",
        ),
        (
            "engine_options.decode = { skip_special_tokens = 1 }",
            "engine_options: engine_options.decode.skip_special_tok",
        ),
        (
            "engine_options.tokenizer = { use_fats = 1 }",
            "engine_options: engine_options.tokenizer.use_fats: not a token",
        ),
        ("engine_options.tokenizer = 1", "engine_options.tokenizer: must be a table of options, not 1"),
        ("prompt.chat_template = '{% for %}'", "prompt.chat_template: not a Jinja template: "),
        (
            "prompt.chat_template = 'chat.jinj'",
            "prompt.chat_template: not a file that can be read: chat.jinj; did you mean 'chat.jinja'?",
        ),
    ],
)
def test_of_a_model(folder: Path, alcove: Alcove, line: str, problem: str) -> None:
    (folder / "chat.jinja").touch()
    (folder / "alcove.toml").write_text(BUILTIN + line)
    (found,) = lines(folder, alcove("check"))
    assert found.replace(str(PACKAGED), "PACKAGED").startswith(f"alcove.toml: model 'chat'.{problem}")


def test_a_source_that_is_not_there(folder: Path, alcove: Alcove) -> None:
    (folder / "my-model").mkdir()
    (folder / "alcove.toml").write_text(
        '[[model]]\nname = "a"\nsource = "./my-modle"\n'
        '[[model]]\nname = "b"\nsource = "builtin:alcove-chatt"\n'
        '[[model]]\nname = "c"\nsource = "org/t5"\n'
    )
    first, second, third = lines(folder, alcove("check"))
    assert first == "alcove.toml: model 'a'.source: my-modle: no such folder; did you mean 'my-model'?"
    assert second.startswith("alcove.toml: model 'b'.source: builtin:alcove-chatt: no such built-in model; there are")
    assert third == (
        "alcove.toml: model 'c'.source: org/t5: not a folder, and not pulled to this machine; get it with: "
        "alcove pull org/t5"
    )
    assert lines(folder, alcove("check", "./my-modell")) == [
        "./my-modell: no such file or folder, nor the name of a model; did you mean './my-model'?"
    ]


def test_a_transformers_folder_for_ctranslate2(folder: Path, alcove: Alcove) -> None:
    """It is converted when it is served: only a family that cannot be is wrong."""
    source = PACKAGED / "alcove-chat" / "transformers"
    shutil.copytree(source, folder / "mine")
    (folder / "alcove.toml").write_text('[[model]]\nname = "a"\nsource = "mine"\nengine = "ctranslate2"\n')
    assert alcove("check").code == 0
    config = folder / "mine" / "config.json"
    config.write_text(config.read_text().replace('"llama"', '"phi3"'))
    (found,) = lines(folder, alcove("check"))
    assert found.startswith("alcove.toml: model 'a'.engine: mine cannot be converted to CTranslate2: ")


def test_a_forerunners_file(folder: Path, alcove: Alcove) -> None:
    (folder / "config.json").write_text(
        '{"HOSTS": 1, "METRICS": "on", "BEARER_TOKENS": [], "MODELS": {"a": 1, "b": {"TYPE": "Seq2seq", "NAM": "x"}}}'
    )
    assert lines(folder, alcove("check")) == [
        "config.json: HOSTS: unknown key; did you mean 'HOST'?",
        "config.json: METRICS: should be a whole number, not 'on'",
        "config.json: BEARER_TOKENS: holds no token, so that nobody could use the server; add one, or remove the key "
        "to serve without",
        "config.json: MODELS.a: should be an object",
        "config.json: MODELS.b.NAM: unknown key; did you mean 'NAME'?",
        "config.json: MODELS.b.TYPE: unknown type 'Seq2seq'; it is one of Seq2Seq, CausalLM; did you mean 'Seq2Seq'?",
        "config.json: MODELS.b.NAME: is missing",
    ]
