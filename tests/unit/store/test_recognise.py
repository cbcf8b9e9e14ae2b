"""What folders are recognised as, and what is said of those that cannot be served."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

from alcove.errors import ModelLoadError
from alcove.store.convert import convert
from alcove.store.ctranslate2_layout import read_vocabularies
from alcove.store.recognise import recognise

Zoo = Callable[[str], Path]
FACTS: dict[str, tuple[str, str, int | None, int | None]] = {
    "t5": ("seq2seq", "t5", None, None),
    "t5-untied": ("seq2seq", "t5", None, None),
    "bart": ("seq2seq", "bart", 128, 128),
    "marian": ("seq2seq", "marian", 128, 128),
    "m2m100": ("seq2seq", "m2m_100", 128, 128),
    "nllb": ("seq2seq", "m2m_100", 128, 128),
    "mbart": ("seq2seq", "mbart", 128, 128),
    "gpt2": ("causal", "gpt2", 128, None),
    "opt": ("causal", "opt", 128, None),
    "llama": ("causal", "llama", 256, None),
    "qwen2": ("causal", "qwen2", 256, None),
}
"""Kind, family, positions of source and target."""


@pytest.fixture(scope="module")
def converted(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    root = tmp_path_factory.mktemp("converted")

    def folder(name: str) -> Path:
        if not (root / name).exists():
            convert(zoo(name), root / name)
        return root / name

    return folder


@pytest.mark.parametrize("name", FACTS)
def test_both_layouts_of_a_model_say_the_same(zoo: Zoo, converted: Zoo, name: str) -> None:
    original, conversion = recognise(zoo(name)), recognise(converted(name))
    for folder in (original, conversion):
        assert (folder.kind, folder.model_type, folder.source_limit, folder.target_limit) == FACTS[name]
    assert (original.layout, conversion.layout) == ("transformers", "ctranslate2")
    assert original.generation == conversion.generation
    assert original.generation.eos


@pytest.mark.parametrize("name", ["t5", "nllb", "marian", "llama"])
def test_foreign_conversions_tell_their_family_by_the_tokenizers_class(
    converted: Zoo, tmp_path: Path, name: str
) -> None:
    folder = Path(shutil.copytree(converted(name), tmp_path / name))
    rewrite(folder / "config.json", model_type=None, max_position_embeddings=None)
    if name == "marian":  # written by the zoo without it, as older files are
        assert recognise(folder).model_type is None
        rewrite(folder / "tokenizer_config.json", tokenizer_class="MarianTokenizer")
    (folder / "generation_config.json").unlink()
    found = recognise(folder)
    assert found.model_type == FACTS[name][1]
    # rotary positions are not in the weights, learned and sinusoidal ones are
    assert found.source_limit == (None if name in ("t5", "llama") else 128)
    assert found.generation.eos == ()


def rewrite(path: Path, **keys: Any) -> None:
    content = json.loads(path.read_text()) | keys
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


# ---- folders that are no whole model


def refusal(path: Path, **task: Any) -> str:
    with pytest.raises(ModelLoadError) as failure:
        recognise(path, **task)
    message = str(failure.value)
    assert "\n" not in message
    return message


def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent") == f"{tmp_path / 'absent'} is not a folder: name one that holds a model"
    assert "is a GGUF model, which no engine here runs" in refusal(tmp_path / "model-q4.gguf")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, " is empty: pull or copy a model into it"),
        ({"notes.txt": ""}, " holds no model: neither model.bin (CTranslate2) nor config.json (transformers)"),
        ({"model-q4.gguf": ""}, " is a GGUF model, which no engine here runs: take the original model in safetensors"),
        ({"model.safetensors": ""}, " has weights but no config.json: copy the model's config.json beside them"),
        ({"pytorch_model.bin": ""}, " has weights but no config.json: copy the model's config.json beside them"),
        ({"config.json": "{"}, "/config.json is not valid JSON"),
        ({"config.json": "[]"}, "/config.json must hold a JSON object, not a list"),
        ({"config.json": "{}"}, "/config.json has no model_type: it is no model's, or of a model.bin now missing"),
        ({"model.bin": "no model"}, "/model.bin is not a whole CTranslate2 model"),
    ],
)
def test_a_folder_that_is_no_model(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert refusal(tmp_path).startswith(f"{tmp_path}{message}")


NO_TENSORS = safetensors.torch.save({})
LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "bert", "architectures": ["BertForMaskedLM"]},
        {"model_type": "bert", "architectures": ["BertModel"]},
        {"model_type": "roberta", "architectures": ["RobertaForSequenceClassification"]},
        {"model_type": "t5", "architectures": ["T5EncoderModel"], "is_encoder_decoder": True},
        {"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"], "num_mel_bins": 80},
        {"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"], "vision_config": {}},
        {"model_type": "unheard-of"},
    ],
)
def test_a_model_that_does_not_turn_text_into_text(tmp_path: Path, config: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    name = config.get("architectures", [config["model_type"]])[0]
    assert refusal(tmp_path).startswith(f"{tmp_path}/config.json: {name} is not served: only text to text models are")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, " has a config.json but no weights: add its model.safetensors"),
        (
            {"pytorch_model.bin": ""},
            " has its weights as Python pickles only (pytorch_model.bin), which may run foreign",
        ),
        (
            {"model.safetensors.index.json": '{"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}'},
            "/part-2.safetensors is missing, though model.safetensors.index.json names it: download it again",
        ),
    ],
)
def test_a_model_without_its_weights(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, content in {"config.json": json.dumps(LLAMA), **files}.items():
        (tmp_path / name).write_text(content)
    if len(files) == 1 and "index" in next(iter(files)):
        (tmp_path / "part-1.safetensors").write_bytes(NO_TENSORS)
    assert refusal(tmp_path).startswith(f"{tmp_path}{message}")


def test_weights_in_several_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**LLAMA, "max_position_embeddings": 2048}))
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "part-1.safetensors"}}')
    (tmp_path / "part-1.safetensors").write_bytes(NO_TENSORS)
    assert recognise(tmp_path).source_limit == 2048


@pytest.mark.parametrize("name", ["t5", "gpt2"])
def test_a_conversion_without_its_vocabulary(converted: Zoo, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(converted(name), tmp_path / name))
    file = "shared_vocabulary" if name == "t5" else "vocabulary"
    tokens = json.loads((folder / f"{file}.json").read_text())
    (folder / f"{file}.json").unlink()
    assert refusal(folder) == f"{folder} has a model.bin but no {file}.json or .txt: copy it from the model's source"
    (folder / f"{file}.json").write_text(json.dumps(tokens[:-1]))
    side = "source" if name == "t5" else "target"
    assert f"the {side} vocabulary has {len(tokens) - 1} tokens, but model.bin {len(tokens)}" in refusal(folder)
    (folder / f"{file}.json").write_text('{"a": 0}')
    assert f"{file}.json must hold a list of token strings" in refusal(folder)


def test_a_conversion_without_its_config(converted: Zoo, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(converted("t5"), tmp_path / "t5"))
    (folder / "config.json").unlink()
    assert refusal(folder) == f"{folder / 'config.json'} cannot be read: No such file or directory"


def test_vocabularies_as_lines_and_one_for_each_side(tmp_path: Path) -> None:
    (tmp_path / "source_vocabulary.txt").write_bytes("<s>\r\nä\r\n".encode())
    with pytest.raises(ModelLoadError, match=r"no target_vocabulary\.json or \.txt"):
        read_vocabularies(tmp_path, "seq2seq")
    (tmp_path / "target_vocabulary.txt").write_bytes(b"<s>\na\r\n\nb\n")
    assert read_vocabularies(tmp_path, "seq2seq") == (["<s>", "ä"], ["<s>", "a\r", "", "b"])


def test_the_task_that_is_asked_for_must_be_the_models(zoo: Zoo) -> None:
    assert recognise(zoo("t5"), "seq2seq").kind == "seq2seq"
    message = refusal(zoo("t5"), task="causal")
    assert message.endswith('holds a seq2seq model, but task = "causal" is set: remove that setting')
