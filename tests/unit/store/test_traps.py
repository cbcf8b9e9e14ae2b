"""Repositories that mean harm: nothing of them is run, written elsewhere, or given a name; each refusal says why."""

import io
import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alcove.errors import ModelLoadError
from alcove.store.pull import pull
from alcove.store.safetensors_header import read_header
from alcove.store.trust import code_keys

from ...fakehub import FakeHub
from .tiny import CONFIG, FILES, weights

REPO = "org/trap"


class Bomb:
    """What a pickle holds that writes the canary when it is loaded."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._canary}",)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


@pytest.fixture
def refused(tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The refusal of a repository of these files, laid over the harmless ones; None leaves one out."""
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))

    def refusal(files: dict[str, bytes | None], *, listed: tuple[str, ...] = (), fetched: tuple[str, ...] = ()) -> str:
        content = {name: data for name, data in {**FILES, **files}.items() if data is not None}
        with FakeHub({REPO: content}) as hub:
            hub.listed[REPO] = list(listed)
            with pytest.raises(ModelLoadError) as failure:
                pull(REPO, tmp_path / "home", endpoint=hub.url)
            assert not {name for name, _ in hub.downloads} & {"modeling_tiny.py", "pytorch_model.bin"}
            assert not hub.starts("model.safetensors") or "model.safetensors" in fetched
        everything = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
        assert everything == {Path("home/models/.work/org--trap.lock")}
        assert "\n" not in str(failure.value)
        return str(failure.value)

    return refusal


@pytest.mark.parametrize(
    ("file", "config", "key"),
    [
        ("config.json", {**CONFIG, "auto_map": {"AutoModel": "modeling_tiny.Tiny"}}, "auto_map"),
        ("config.json", {**CONFIG, "trust_remote_code": True}, "trust_remote_code"),
        ("config.json", {**CONFIG, "text_config": {"auto_map": {"AutoConfig": "a.B"}}}, "text_config.auto_map"),
        ("config.json", {**CONFIG, "layers": [{"trust_remote_code": 1}]}, "layers[0].trust_remote_code"),
        ("config.json", {**CONFIG, "_attn_implementation_internal": "org/kernel"}, "_attn_implementation_internal"),
        ("config.json", {**CONFIG, "attn_implementation": "org/kernel:run"}, "attn_implementation"),
        ("config.json", {**CONFIG, "custom_pipelines": {"a": {"impl": "tiny.Pipe"}}}, "custom_pipelines"),
        ("generation_config.json", {"custom_generate": "org/decoding"}, "custom_generate"),
        ("tokenizer_config.json", {"trust_remote_code": True}, "trust_remote_code"),
    ],
)
def test_a_configuration_that_asks_for_code(
    refused: Callable[..., str], file: str, config: dict[str, Any], key: str
) -> None:
    message = refused({file: json.dumps(config).encode()})
    assert message.startswith(f"{REPO}: {file}: {key} asks for code that comes with the model")


def test_a_tokenizer_that_asks_for_code_is_needed_only_without_a_tokenizer_json(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    config = b'{"auto_map": {"AutoTokenizer": ["tokenizer.Tiny", null]}}'
    message = refused({"tokenizer_config.json": config, "tokenizer.json": None})
    assert message.startswith(f"{REPO}: tokenizer_config.json: auto_map asks for code")
    with FakeHub({REPO: {**FILES, "tokenizer_config.json": config}}) as hub:
        assert pull(REPO, tmp_path / "home", endpoint=hub.url).fetched


def test_harmless_keys_are_let_be() -> None:
    assert list(code_keys({"trust_remote_code": False, "auto_map": None, "attn_implementation": "sdpa"})) == []


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_under_the_name_of_safetensors(refused: Callable[..., str], canary: Path, protocol: int) -> None:
    content = pickle.dumps(Bomb(canary), protocol)
    message = refused({"model.safetensors": content}, fetched=("model.safetensors",))
    assert message.startswith(f"{REPO}: model.safetensors is ")
    assert ("a Python pickle under the name of a safetensors file" in message) == (protocol > 0)


def test_torchs_pickle_under_the_name_of_safetensors(refused: Callable[..., str], canary: Path) -> None:
    import torch

    content = io.BytesIO()
    torch.save(Bomb(canary), content)
    message = refused({"model.safetensors": content.getvalue()}, fetched=("model.safetensors",))
    assert "model.safetensors is a Python pickle" in message


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt", "weights.pkl", "weights.npy"])
def test_weights_as_pickles_only(refused: Callable[..., str], canary: Path, name: str) -> None:
    files = {"model.safetensors": None, "pytorch_model.bin": None, name: pickle.dumps(Bomb(canary))}
    message = refused(files)
    assert message.startswith(f"{REPO}: has only pickled weights ({name}), and loading a pickle runs any code in it")


def test_a_pickle_as_model_bin(refused: Callable[..., str], canary: Path) -> None:
    message = refused({"model.bin": pickle.dumps(Bomb(canary))}, fetched=("model.bin",))
    assert message.startswith(f"{REPO}: model.bin is not a whole CTranslate2 model")


@pytest.mark.parametrize(
    "name",
    ["../canary", "a/../../canary", "/tmp/canary", "..\\canary", "C:canary", "\\\\host\\canary", "can\0ary", ".."],
)
def test_a_list_of_files_that_climbs_out(refused: Callable[..., str], name: str) -> None:
    message = refused({}, listed=(name,))
    assert message.startswith(f"{REPO}: lists a file named {name!a}, which would lie outside of its folder")


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/x.safetensors", "a/b.safetensors", "pytorch_model.bin"])
def test_an_index_that_climbs_out(refused: Callable[..., str], name: str) -> None:
    index = json.dumps({"weight_map": {"a": name}}).encode()
    message = refused({"model.safetensors": None, "model.safetensors.index.json": index})
    assert message.startswith(f"{REPO}: model.safetensors.index.json names {name!a}, which is no safetensors file")


def test_a_link_is_only_its_text(refused: Callable[..., str]) -> None:
    """Git keeps a link as a file that holds its target, and so does the Hub send it."""
    message = refused({"model.safetensors": b"../../../etc/passwd"}, fetched=("model.safetensors",))
    assert message.startswith(f"{REPO}: model.safetensors is not a whole safetensors file")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 8,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"null",
        struct.pack("<Q", 2000) + b"[" * 2000,
        weights()[:-1],
        weights() + b"\0",
    ],
)
def test_what_is_no_whole_safetensors_file(refused: Callable[..., str], content: bytes) -> None:
    message = refused({"model.safetensors": content}, fetched=("model.safetensors",))
    assert message.startswith(f"{REPO}: model.safetensors is not a whole safetensors file")
    assert message.endswith("): download it again")


def test_a_manifest_of_its_own_is_not_fetched(tmp_path: Path) -> None:
    with FakeHub({REPO: {**FILES, "alcove-manifest.json": b"{}"}}) as hub:
        pull(REPO, tmp_path, endpoint=hub.url)
        assert hub.starts("alcove-manifest.json") == []


# ---- what is no model for alcove


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("model-q4.gguf", "model-q4.gguf is GGUF, which no engine here runs: pull the original model in safetensors"),
        ("adapter_model.safetensors", "adapter_model.safetensors is an adapter (LoRA) and no model"),
        ("model_index.json", "model_index.json is a pipeline that makes images"),
        ("model.onnx", "model.onnx is ONNX, which no engine here runs"),
        ("tf_model.h5", "tf_model.h5 is weights of TensorFlow only"),
        ("notes.txt", "has no weights (model.bin or model.safetensors) in its top folder"),
    ],
)
def test_other_kinds_are_refused_with_a_hint(refused: Callable[..., str], file: str, message: str) -> None:
    absent = dict.fromkeys(("model.safetensors", "pytorch_model.bin", "tf_model.h5"))
    assert refused({**absent, file: b"x"}).startswith(f"{REPO}: {message}")


def test_an_encoder_is_refused_before_its_weights(refused: Callable[..., str]) -> None:
    message = refused({"config.json": b'{"model_type": "bert", "architectures": ["BertModel"]}'})
    assert message.startswith(f"{REPO}: config.json: BertModel is not served: only text to text models are")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"model.safetensors": weights(rows=9)},
            "config.json: vocab_size is 10, but gpt_neox.embed_in.weight has 9 rows",
        ),
        ({"tokenizer.json": b'{"model": {"vocab": {"a": 10}}}'}, "tokenizer.json: has a token 10, but the embeddings"),
        ({"tokenizer.json": b'{"model": {"vocab": [["a", 0]]}}' * 2}, "tokenizer.json is not valid JSON"),
    ],
)
def test_a_vocabulary_of_another_model(refused: Callable[..., str], files: dict[str, bytes], message: str) -> None:
    assert refused(files, fetched=("model.safetensors",)).startswith(f"{REPO}: {message}")


def test_a_header_may_begin_as_a_pickle_does(tmp_path: Path) -> None:
    """Its length is a number like any other: 128 is written as pickles begin."""
    content = weights()
    (length,) = struct.unpack("<Q", content[:8])
    padded = struct.pack("<Q", 128) + content[8 : 8 + length].ljust(128) + content[8 + length :]
    (tmp_path / "model.safetensors").write_bytes(padded)
    assert read_header(tmp_path / "model.safetensors") == {"gpt_neox.embed_in.weight": ("F32", (10, 4))}
