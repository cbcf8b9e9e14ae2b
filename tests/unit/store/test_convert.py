"""Conversion to CTranslate2's layout. That the converted models say the same is in tests/fidelity."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import ctranslate2
import pytest
import transformers

from alcove.errors import ModelLoadError
from alcove.store.convert import convert
from alcove.store.ctranslate2_layout import read_vocabularies
from alcove.store.recognise import recognise

Zoo = Callable[[str], Path]


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.mark.parametrize("name", ["t5", "marian", "nllb", "llama"])
def test_a_converted_folder_is_served_alone(zoo: Zoo, tmp_path: Path, name: str) -> None:
    convert(zoo(name), tmp_path / "made")
    beside = names(zoo(name)) - {"config.json", "model.safetensors"}
    vocabulary = {"vocabulary.json"} if name == "llama" else {"shared_vocabulary.json"}
    assert names(tmp_path / "made") == {"config.json", "model.bin", *vocabulary, *beside}
    for file in beside:
        assert (tmp_path / "made" / file).read_bytes() == (zoo(name) / file).read_bytes()
    assert names(tmp_path) == {"made"}


def test_weights_are_int8_unless_said_otherwise(zoo: Zoo, tmp_path: Path) -> None:
    sizes = []
    for quantization in ("int8", "float16", "float32"):
        convert(zoo("gpt2"), tmp_path / quantization, quantization)
        sizes.append((tmp_path / quantization / "model.bin").stat().st_size)
    assert sizes == sorted(sizes)
    convert(zoo("gpt2"), tmp_path / "default")
    assert (tmp_path / "default" / "model.bin").stat().st_size == sizes[0]


def test_an_older_models_wishes_get_a_file_of_their_own(zoo: Zoo, tmp_path: Path) -> None:
    source = Path(shutil.copytree(zoo("marian"), tmp_path / "older"))
    config = json.loads((source / "config.json").read_text())
    (source / "generation_config.json").unlink()
    (source / "config.json").write_text(json.dumps({**config, "num_beams": 6, "bad_words_ids": [[97]]}))
    convert(source, tmp_path / "made")
    assert recognise(tmp_path / "made").generation == recognise(source).generation
    assert recognise(source).generation.options.num_beams == 6


@pytest.mark.parametrize("name", ["t5", "m2m100", "opt", "qwen2"])
def test_every_row_of_the_model_has_a_name_of_its_own_at_the_tokenizers_id(zoo: Zoo, tmp_path: Path, name: str) -> None:
    convert(zoo(name), tmp_path / "made")
    _, tokens = read_vocabularies(tmp_path / "made", recognise(tmp_path / "made").kind)
    assert len(set(tokens)) == len(tokens) == recognise(zoo(name)).config["vocab_size"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(zoo(name))
    text = tokenizer("the cat likes a snake, James.").input_ids
    assert [tokens[number] for number in text] == tokenizer.convert_ids_to_tokens(text)


def test_the_tokens_that_the_library_needs_are_never_null(zoo: Zoo, tmp_path: Path) -> None:
    """A tokenizer without a beginning of sequence or an unknown token: CTranslate2 would not load the model."""
    convert(zoo("qwen2"), tmp_path / "made")
    config = recognise(tmp_path / "made").config
    tokenizer = transformers.AutoTokenizer.from_pretrained(zoo("qwen2"))
    assert tokenizer.unk_token is None
    assert config["unk_token"] == config["eos_token"] == tokenizer.eos_token
    assert config["bos_token"] is not None


# ---- what cannot be converted


def refusal(source: Path, target: Path, quantization: str = "int8") -> str:
    before = names(target.parent)
    with pytest.raises(ModelLoadError) as failure:
        convert(source, target, quantization)
    assert names(target.parent) == before
    assert "\n" not in str(failure.value)
    return str(failure.value)


def test_a_family_that_nobody_has_tried_is_left_to_transformers(tmp_path: Path) -> None:
    config = transformers.LEDConfig(
        vocab_size=40, d_model=8, encoder_layers=1, decoder_layers=1, attention_window=4, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8, max_encoder_position_embeddings=64,
        max_decoder_position_embeddings=32,
    )  # fmt: skip
    transformers.LEDForConditionalGeneration(config).save_pretrained(tmp_path / "led")
    found = recognise(tmp_path / "led")
    assert (found.source_limit, found.target_limit) == (64, 32)
    message = refusal(tmp_path / "led", tmp_path / "made")
    assert message.startswith(f"{tmp_path / 'led'} cannot be converted to CTranslate2: led is not among the families")
    assert message.endswith('serve it with engine = "transformers"')


def test_a_marian_model_with_two_vocabularies_is_left_to_transformers(zoo: Zoo, tmp_path: Path) -> None:
    source = Path(shutil.copytree(zoo("marian"), tmp_path / "marian"))
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "share_encoder_decoder_embeddings": False}))
    assert "its source and target vocabularies differ" in refusal(source, tmp_path / "made")


def test_a_marian_model_with_its_pad_amid_the_vocabulary_is_left_to_transformers(zoo: Zoo, tmp_path: Path) -> None:
    source = Path(shutil.copytree(zoo("marian"), tmp_path / "marian"))
    ids = json.loads((source / "vocab.json").read_text())
    first = next(token for token, number in ids.items() if number == 2)
    ids["<pad>"], ids[first] = ids[first], ids["<pad>"]
    (source / "vocab.json").write_text(json.dumps(ids))
    assert "its <pad> is not the last token" in refusal(source, tmp_path / "made")


def test_a_target_that_exists_and_a_source_that_is_converted_are_refused(zoo: Zoo, tmp_path: Path) -> None:
    convert(zoo("gpt2"), tmp_path / "made")
    assert "made exists already: remove it or choose another folder" in refusal(zoo("gpt2"), tmp_path / "made")
    assert "is in CTranslate2's layout already" in refusal(tmp_path / "made", tmp_path / "again")


def test_an_unknown_quantization_is_named_with_the_known_ones(zoo: Zoo, tmp_path: Path) -> None:
    assert refusal(zoo("gpt2"), tmp_path / "made", "int7").startswith("quantization int7 is unknown: int8, ")


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_the_extra_to_install_is_named(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    source = zoo("gpt2")
    monkeypatch.delitem(sys.modules, "alcove.store.converter", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    message = refusal(source, tmp_path / "made")
    assert message == f"{library} is needed to convert {source}: pip install 'alcove[convert]'"


def test_float16_weights_make_an_int8_model_that_a_processor_can_run(
    zoo: Zoo, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """CTranslate2 writes a warning about `int8_float16` at each load otherwise."""
    model = transformers.AutoModelForCausalLM.from_pretrained(zoo("gpt2")).half()
    shutil.copytree(zoo("gpt2"), tmp_path / "half")
    model.save_pretrained(tmp_path / "half")
    convert(tmp_path / "half", tmp_path / "made", "int8")
    capfd.readouterr()
    ctranslate2.Generator(str(tmp_path / "made"), device="cpu")
    assert "float16" not in capfd.readouterr().err
