"""Hostile model folders: refused before anything of them is loaded, each by a line that names file and key."""

import io
import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy
import pytest

import alcove
from alcove.config.settings import ModelSettings
from alcove.engines.base import Vocabulary
from alcove.engines.registry import open_engine
from alcove.errors import ConfigurationError, ModelLoadError
from alcove.pipeline.tokenizer import load_tokenizer
from alcove.store import untrusted
from alcove.store.recognise import recognise

Zoo = Callable[[str], Path]


class Canary:
    """What a pickle makes of it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture
def model(zoo: Zoo, tmp_path: Path) -> Path:
    """A good folder, to be spoilt."""
    return Path(shutil.copytree(zoo("llama"), tmp_path / "model"))


def open_model(path: Path, **settings: Any) -> None:
    """All that is done with a folder until it answers."""
    asked = ModelSettings(name="m", source=str(path), device="cpu", threads=1, **settings)
    folder = recognise(path)
    tokenizer = load_tokenizer(folder, asked)
    open_engine(folder, asked, Vocabulary(tokenizer.source_tokens, tokenizer.target_tokens)).close()


def refused(path: Path, *words: str, **settings: Any) -> None:
    with pytest.raises((ModelLoadError, ConfigurationError)) as caught:
        open_model(path, **settings)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def rewrite(path: Path, **keys: Any) -> None:
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | keys))


def trap(canary: Path) -> str:
    return f"from pathlib import Path\nPath({str(canary)!r}).touch()\n"


AUTO = {"AutoConfig": "trap.Config", "AutoModelForCausalLM": "trap.Model", "AutoTokenizer": ["trap.Slow", "trap.Fast"]}
KEYS: dict[str, tuple[str, dict[str, Any]]] = {
    "a model's class": ("config.json", {"auto_map": AUTO}),
    "a class of another repository": ("config.json", {"auto_map": {"AutoConfig": "them/evil--trap.Config"}}),
    "a nested class": ("config.json", {"text_config": {"auto_map": AUTO}}),
    "a nested trust": ("config.json", {"decoder": [{"trust_remote_code": True}]}),
    "a pipeline": ("config.json", {"custom_pipelines": {"p": {"impl": "trap.Pipeline", "pt": ["AutoModel"]}}}),
    "attention's code": ("config.json", {"_attn_implementation_internal": "them/evil"}),
    "experts' code": ("config.json", {"text_config": {"_experts_implementation_internal": "them/evil"}}),
    "kernels": ("config.json", {"attn_implementation": "them/evil"}),
    "kernels, by their other name": ("config.json", {"_attn_implementation": "them/evil@main:trap"}),
    "a way to generate": ("generation_config.json", {"custom_generate": "them/evil"}),
    "weights elsewhere": ("config.json", {"transformers_weights": "../evil.safetensors"}),
    "pickled weights": ("config.json", {"transformers_weights": "adapter_model.bin"}),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_configuration_that_asks_for_code(name: str, model: Path, canary: Path) -> None:
    file, keys = KEYS[name]
    (model / ".trap").mkdir()
    rewrite(model / file, **keys)
    key = next(key for key in re.findall(r'"(\w+)"', json.dumps(keys)) if not key.endswith(("_config", "decoder")))
    refused(model, str(model / file), key)
    assert not canary.exists()


def test_a_tokenizers_class_without_a_tokenizer_json(model: Path, canary: Path) -> None:
    (model / "tokenizer.json").unlink()
    rewrite(model / "tokenizer_config.json", auto_map={"AutoTokenizer": ["trap.Slow", None]})
    refused(model, "tokenizer_config.json", "auto_map")


@pytest.mark.parametrize(
    "file", ["modeling_trap.py", "custom_generate/generate.py", "trap.so", "tokenization_trap.pyc"]
)
def test_code_beside_a_model(file: str, model: Path, canary: Path) -> None:
    (model / file).parent.mkdir(exist_ok=True)
    (model / file).write_text(trap(canary))
    refused(model, str(model / file), "never runs")
    assert not canary.exists()


def test_an_adapter_is_no_model(model: Path) -> None:
    rewrite(model / "adapter_config.json", base_model_name_or_path="/elsewhere", peft_type="LORA")
    refused(model, "adapter_config.json", "merge")


def test_a_subfolder_is_looked_at_and_stays_within(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "other")
    shutil.copytree(tmp_path / "other", model / "below")
    for table in ("model", "tokenizer"):
        options = {table: {"subfolder": "../other"}}
        refused(
            model, f"engine_options.{table}.subfolder" if table == "tokenizer" else "subfolder", engine_options=options
        )
    rewrite(model / "below" / "config.json", auto_map=AUTO)
    refused(model, str(model / "below" / "config.json"), "auto_map", engine_options={"model": {"subfolder": "below"}})


@pytest.mark.parametrize("table", ["model", "tokenizer"])
def test_no_setting_trusts_a_folders_code(table: str, model: Path) -> None:
    refused(
        model, f"engine_options.{table}.trust_remote_code", "remove", engine_options={table: {"trust_remote_code": 1}}
    )


# ---- weights


def as_torch(content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3")
    return made.getvalue()


def as_array(canary: Path) -> bytes:
    made = io.BytesIO()
    numpy.save(made, numpy.array([Canary(canary)], dtype=object), allow_pickle=True)
    return made.getvalue()


PICKLES = ["pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", "weights.npy", "model.pkl"]


@pytest.mark.parametrize("form", ["pickle", "torch", "array"])
@pytest.mark.parametrize("name", [*PICKLES, "model.safetensors", "model.bin"])
def test_pickled_weights(form: str, name: str, model: Path, canary: Path) -> None:
    content = pickle.dumps(Canary(canary))
    made = {"pickle": content, "torch": as_torch(content), "array": as_array(canary)}[form]
    (model / "model.safetensors").unlink()
    (model / name).write_bytes(made)
    refused(model, str(model))
    assert not canary.exists()


def test_the_canary_sings(canary: Path) -> None:
    """Else the tests above would show nothing."""
    pickle.loads(pickle.dumps(Canary(canary)))
    assert canary.exists()


def test_pickles_beside_safetensors_are_never_opened(model: Path, canary: Path) -> None:
    for name in PICKLES:
        (model / name).write_bytes(pickle.dumps(Canary(canary)))
    open_model(model)
    assert not canary.exists()


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/passwd", "..\\a.safetensors", "a/../../b.safetensors", "a.bin"]
)
def test_an_index_that_leads_elsewhere(name: str, model: Path) -> None:
    (model / "model.safetensors").rename(model.parent / "model.safetensors")
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
    refused(model, "model.safetensors.index.json")


def header(**tensors: Any) -> bytes:
    text = json.dumps(tensors).encode()
    return len(text).to_bytes(8, "little") + text


ODD_HEADERS = {
    "longer than the file": (1 << 40).to_bytes(8, "little") + b"{}",
    "longest": b"\xff" * 8 + b"{}",
    "no JSON": (4).to_bytes(8, "little") + b"abcd",
    "a list": (2).to_bytes(8, "little") + b"[]",
    "nested": (200_000).to_bytes(8, "little") + b"[" * 100_000 + b"]" * 100_000,
    "more bytes than there are": header(a={"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}),
    "a shape that lies": header(a={"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}) + b"1234",
    "a negative shape": header(a={"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}) + b"1234",
    "an unknown type": header(a={"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 4]}) + b"1234",
    "empty": b"",
}


@pytest.mark.parametrize("name", ODD_HEADERS)
def test_a_header_whose_sizes_lie(name: str, model: Path) -> None:
    (model / "model.safetensors").write_bytes(ODD_HEADERS[name])
    refused(model, str(model))


# ---- files


def test_links_stay_in_the_folder(model: Path, tmp_path: Path) -> None:
    (model / "model.safetensors").rename(model / "weights.0")
    (model / "model.safetensors").symlink_to("weights.0")
    open_model(model)
    (model / "weights.0").rename(tmp_path / "weights.0")
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").symlink_to("../weights.0")
    refused(model, str(model / "model.safetensors"), "a link to")
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").symlink_to("model.safetensors")
    refused(model, str(model / "model.safetensors"))


def test_hugging_faces_cache_is_served(zoo: Zoo, tmp_path: Path) -> None:
    """`snapshots/COMMIT/NAME` are links to `../../blobs/HASH` there; a link to anything else is refused."""
    repository = tmp_path / "models--org--model"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for number, file in enumerate(sorted(zoo("llama").iterdir())):
        shutil.copy(file, repository / "blobs" / f"{number:040}")
        (snapshot / file.name).symlink_to(f"../../blobs/{number:040}")
    open_model(snapshot)
    (repository / "refs").write_text("")
    (snapshot / "merges.txt").unlink(missing_ok=True)
    (snapshot / "merges.txt").symlink_to("../../refs")
    refused(snapshot, str(snapshot / "merges.txt"), "out of the model's folder")


def test_pipes_are_not_waited_for(model: Path) -> None:
    (model / "chat_template.jinja").unlink()
    os.mkfifo(model / "chat_template.jinja")
    refused(model, str(model / "chat_template.jinja"), "pipe")


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "chat_template.jinja"])
def test_texts_have_a_length(file: str, model: Path) -> None:
    with (model / file).open("wb") as out:
        out.truncate(1 << 34)  # of holes, which take no room on the disk
    refused(model, str(model / file), "17179869184 bytes")


@pytest.mark.parametrize("depth", [50, 900, 100_000])
@pytest.mark.parametrize("file", ["config.json", "generation_config.json", "tokenizer_config.json"])
def test_configurations_that_are_nested_without_end(file: str, depth: int, model: Path) -> None:
    content = json.loads((model / file).read_text())
    (model / file).write_text(json.dumps(content | {"x": 0}).replace('"x": 0', '"x": ' + "[" * depth + "]" * depth))
    with nullcontext() if depth == 50 else suppress(ModelLoadError) if depth == 900 else pytest.raises(ModelLoadError):
        open_model(model)


@pytest.mark.parametrize("value", [0, 1.5, "x", [1], {"a": 1}, [{}], {"content": 1}, {"1": {}}], ids=str)
@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("tokenizer_config.json", "added_tokens_decoder"),
        ("tokenizer_config.json", "extra_special_tokens"),
        ("tokenizer_config.json", "eos_token"),
        ("special_tokens_map.json", "additional_special_tokens"),
        ("added_tokens.json", "<x>"),
        ("config.json", "architectures"),
    ],
)
def test_configurations_of_the_wrong_type(file: str, key: str, value: Any, model: Path) -> None:
    """Fine where it makes no difference, else a line, and never another error."""
    if file not in ("tokenizer_config.json", "config.json"):
        (model / "tokenizer_config.json").unlink()
    rewrite(model / file, **{key: value})
    with suppress(ModelLoadError):
        open_model(model)


def test_a_folder_of_everything_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted, "MOST_FILES", 10)
    for number in range(11):
        (tmp_path / str(number)).touch()
    refused(tmp_path, "more than 10 files")


def test_nothing_in_the_source_trusts_remote_code() -> None:
    trusting = re.compile(r"trust_remote_code\W{1,5}(True|1)\b")
    sources = sorted(Path(alcove.__file__).parent.rglob("*.py"))
    assert sources
    assert not [path for path in sources if trusting.search(path.read_text())]
