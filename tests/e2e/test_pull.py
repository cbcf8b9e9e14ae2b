"""From a name on the Hub to an answer: pulled, converted where that can be, served by the real server, and the answers
are those of transformers on the originals. Pulls that are killed leave nothing to be seen."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest

from alcove.store.convert import convert
from alcove.store.manifest import read, verify
from alcove.store.pull import Pulled, pull

from ..fakehub import FakeHub, contents
from ..serving import clean_environment, running
from .test_engines import reference

CONVERTED = {"t5-untied": "seq2seq", "marian": "seq2seq", "llama": "causal"}
KEPT = {"gpt-neox": "causal"}
LAMINI = "MBZUAI/LaMini-Flan-T5-248M"
KINDS = {**{f"zoo/{name}": kind for name, kind in (CONVERTED | KEPT).items()}, LAMINI: "seq2seq"}
PROMPTS = ["The quick brown fox", "hello world, grüß dich"]
MAX_TOKENS = 24
Zoo = Callable[[str], Path]


@pytest.fixture(scope="module")
def hub(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    """The zoo as it would be published, and the first forerunner's example in its own layout."""
    repos = {f"zoo/{name}": contents(zoo(name)) for name in CONVERTED | KEPT}
    made = tmp_path_factory.mktemp("lamini") / "made"
    convert(zoo("t5-untied"), made, "float32")
    lamini = {name: (made / name).read_bytes() for name in ("model.bin", "tokenizer_config.json", "tokenizer.json")}
    # as CTranslate2's converter of that time wrote it: without what alcove adds
    config = {"add_source_bos": False, "add_source_eos": False, "bos_token": "<pad>", "eos_token": "</s>"}
    lamini["config.json"] = json.dumps({**config, "decoder_start_token": "<pad>", "unk_token": "<unk>"}).encode()
    tokens = json.loads((made / "shared_vocabulary.json").read_text())
    lamini["shared_vocabulary.txt"] = "".join(f"{token}\n" for token in tokens).encode()
    repos[LAMINI] = {**lamini, "README.md": b"# LaMini"}
    with FakeHub(repos) as hub:
        yield hub


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def pulled(hub: FakeHub, home: Path) -> dict[str, Pulled]:
    """All of them in the store, in float32 where they are converted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(home / "token"))
        quantizations = {f"zoo/{name}": "float32" for name in CONVERTED}
        return {name: pull(name, home, quantization=quantizations.get(name), endpoint=hub.url) for name in KINDS}


@pytest.fixture(scope="module")
def client(pulled: dict[str, Pulled], home: Path) -> Iterator[openai.OpenAI]:
    """The server, offline, with all of them under their own names."""
    tables = (f'[[model]]\nname = "{name}"\nsource = "{name}"\nthreads = 1\n' for name in KINDS)
    (home / "alcove.toml").write_text("".join(tables))
    environment = {"ALCOVE_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    with running("serve", cwd=home, environment=environment) as server:
        yield openai.OpenAI(base_url=server.api, api_key="none", max_retries=0)


def test_each_kind_lies_in_its_layout(pulled: dict[str, Pulled], home: Path) -> None:
    for name in CONVERTED:
        folder = pulled[f"zoo/{name}"].folder
        manifest = read(folder)
        assert manifest is not None
        assert (manifest.layout, manifest.quantization) == ("ctranslate2", "float32")
        assert folder == home / "models" / "zoo" / f"{name}+ctranslate2"
        assert not (home / "models" / "zoo" / name).exists()
    for name in ("zoo/gpt-neox", LAMINI):
        assert pulled[name].folder == home / "models" / name
    assert {path.name for path in pulled[LAMINI].folder.iterdir()} == {
        *("config.json", "model.bin", "shared_vocabulary.txt", "tokenizer_config.json", "tokenizer.json"),
        "alcove-manifest.json",
    }
    assert all(verify(each.folder) == [] for each in pulled.values())


def test_chat_template_and_generation_defaults_go_along(pulled: dict[str, Pulled], zoo: Zoo) -> None:
    for name in CONVERTED:
        for file in ("chat_template.jinja", "generation_config.json", "tokenizer_config.json"):
            if (zoo(name) / file).exists():
                assert (pulled[f"zoo/{name}"].folder / file).read_bytes() == (zoo(name) / file).read_bytes()
    assert (pulled["zoo/llama"].folder / "chat_template.jinja").exists()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_answers_are_those_of_transformers(client: openai.OpenAI, zoo: Zoo, name: str, prompt: str) -> None:
    original = zoo("t5-untied" if name == LAMINI else name.removeprefix("zoo/"))
    text, tokens = reference(original, KINDS[name], prompt)
    # a published conversion has no generation defaults; Marian's own ask for beams
    answer = client.completions.create(
        model=name, prompt=prompt, max_tokens=MAX_TOKENS, temperature=0, extra_body={"num_beams": 1}
    )
    assert answer.choices[0].text == text
    assert answer.usage is not None
    assert answer.usage.completion_tokens == tokens


# ---- by the command line, and killed


def alcove(home: Path, hub: FakeHub, *arguments: str) -> subprocess.Popen[str]:
    environment = clean_environment(ALCOVE_HOME=str(home), HF_ENDPOINT=hub.url, HF_HOME=str(home / "hf"))
    command = [sys.executable, "-m", "alcove", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def visible(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "models").glob("[!.]*/*"))


def test_a_pull_that_is_killed_in_its_conversion_leaves_nothing_and_goes_on(hub: FakeHub, tmp_path: Path) -> None:
    killed = alcove(tmp_path, hub, "pull", "zoo/llama")
    assert killed.stderr is not None
    assert any(line.startswith("Converting to int8") for line in killed.stderr)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=20)
    assert visible(tmp_path) == []

    hub.downloads.clear()
    again = alcove(tmp_path, hub, "pull", "zoo/llama")
    output, errors = again.communicate(timeout=60)
    assert again.returncode == 0, errors
    assert output == (
        "Converted to int8 for CTranslate2, which runs it faster and in less memory; --engine transformers keeps the "
        f"original\nPulled to {tmp_path}/models/zoo/llama+ctranslate2\nServe it with: alcove serve zoo/llama\n"
    )
    assert hub.downloads == []
    assert visible(tmp_path) == ["llama+ctranslate2"]
    assert [path.name for path in (tmp_path / "models" / ".work").iterdir()] == ["zoo--llama.lock"]


def test_a_pull_that_is_killed_in_a_file_goes_on(hub: FakeHub, tmp_path: Path) -> None:
    with FakeHub({"zoo/gpt-neox": hub.repos["zoo/gpt-neox"]}) as slow:
        slow.held["model.safetensors"] = 20_000
        killed = alcove(tmp_path, slow, "pull", "zoo/gpt-neox", "--engine", "transformers")
        while not slow.starts("model.safetensors"):
            assert killed.poll() is None, killed.communicate()
        killed.kill()
        killed.communicate(timeout=20)
        assert visible(tmp_path) == []
        slow.held.clear()
        slow.downloads.clear()
        pulled = pull("zoo/gpt-neox", tmp_path, engine="transformers", endpoint=slow.url)
        assert {name for name, _ in slow.downloads} == {"model.safetensors"}
        assert verify(pulled.folder) == []
