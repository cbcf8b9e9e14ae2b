"""What a tokenizer refuses, in one clear line: folders, options, texts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from alcove.errors import ConfigurationError, InvalidRequest, ModelLoadError

from .folders import VOCABULARY, load, write_tokenizer


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"has no tokenizer; looked for tokenizer\.json, source\.spm, ") as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"tokenizer.json": "{"}, "tokenizer.json"),
        ({"tokenizer.json": "{}", "tokenizer_config.json": "[]"}, "tokenizer_config.json"),
        ({"tokenizer_config.json": "{,}"}, "tokenizer_config.json"),
        ({"source.spm": "x", "vocab.json": "{}"}, "target.spm"),
        ({"source.spm": "x", "target.spm": "x", "vocab.json": "{}"}, "vocab.json"),
        ({"source.spm": "x", "target.spm": "x", "vocab.json": '{"<unk>": 0, "</s>": 1}'}, "source.spm"),
        ({"tokenizer_config.json": '{"tokenizer_class": "M2M100Tokenizer"}'}, "sentencepiece.bpe.model"),
        ({"tokenizer_config.json": '{"tokenizer_class": "T5Tokenizer"}', "spiece.model": "xyz"}, "spiece.model"),
        (
            {"tokenizer_config.json": '{"tokenizer_class": "GPT2Tokenizer"}', "vocab.json": "x", "merges.txt": "x"},
            "vocab.json",
        ),
    ],
)
def test_broken_files_are_named(files: dict[str, str], named: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ModelLoadError) as caught:
        load(tmp_path)
    assert str(tmp_path / named) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_remedy_without_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokenizer.model").write_text("x")
    monkeypatch.setitem(sys.modules, "transformers", None)  # what an absent package looks like to `import`
    with pytest.raises(ModelLoadError, match=r"pip install 'alcove\[transformers\]'"):
        load(tmp_path)


def test_what_transformers_cannot_read_either(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(ModelLoadError, match="transformers cannot read its tokenizer"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"decode": {"skip_special_token": True}}, "engine_options.decode.skip_special_token"),
        ({"decode": {"skip_special_tokens": "yes"}}, "engine_options.decode.skip_special_tokens"),
        ({"decode": [1]}, "engine_options.decode"),
        ({"tokenizer": {"no_such_thing": 1}}, "engine_options.tokenizer.no_such_thing"),
        ({"tokenizer": {"trust_remote_code": True}}, "engine_options.tokenizer.trust_remote_code"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], named: str, tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    with pytest.raises(ConfigurationError, match=named):
        load(tmp_path, **options)


def test_options_that_change_nothing(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    keywords = {
        "use_fast": False,
        "trust_remote_code": False,
        "cache_dir": "/x",
        "revision": "main",
        "padding_side": "left",
    }
    assert load(tmp_path, tokenizer=keywords).encode("abc") == load(tmp_path).encode("abc")
    assert load(tmp_path, tokenizer=keywords).source_tokens == load(tmp_path).source_tokens


def test_a_subfolder(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    write_tokenizer(tmp_path / "inner")
    assert load(tmp_path, tokenizer={"subfolder": "inner"}).encode("a") == (2, 3)


def test_special_tokens_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    ids = [VOCABULARY["a"], VOCABULARY["</s>"]]
    kept = load(tmp_path, decode={"skip_special_tokens": False})
    assert (load(tmp_path).decode(ids), kept.decode(ids), kept.decode(ids, skip_special=True)) == ("a", "a</s>", "a")
    machine = kept.stream()
    assert machine.feed(ids) + machine.flush() == "a</s>"


def test_what_the_engine_learns(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, "<far>", pad_token="<pad>")
    tokenizer = load(tmp_path)
    assert tokenizer.source_tokens[:4] == ("<unk>", "</s>", "▁", "a")
    assert tokenizer.source_tokens is tokenizer.target_tokens
    assert (tokenizer.eos_id, tokenizer.bos_id) == (1, None)
    assert tokenizer.pad_id == len(VOCABULARY) + 1  # added: the vocabulary has no such token
    assert tokenizer.special_ids == {1, len(VOCABULARY), len(VOCABULARY) + 1}


def test_half_a_surrogate_pair_is_the_requests_fault(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    with pytest.raises(InvalidRequest, match=r"\\ud83d.* at character 1"):
        load(tmp_path).encode(json.loads('"a\\ud83d"'))


def test_memory_for_words_that_nobody_says_is_bounded() -> None:
    """In a process of its own: this one may have enough from before. The library alone would keep 20 MB."""
    script = """
from alcove.config.settings import ModelSettings
from alcove.machine import resident_bytes
from alcove.pipeline.tokenizer import load_tokenizer
from alcove.store.find import PACKAGED
from alcove.store.folder import ModelFolder
folder = ModelFolder(path=PACKAGED / "alcove-chat" / "ctranslate2", layout="ctranslate2", kind="causal")
tokenizer = load_tokenizer(folder, ModelSettings(name="chat", source="builtin:alcove-chat"))
letters = str.maketrans("0123456789", "abcdefghij")
tokenizer.encode("one word")
before = resident_bytes()
for number in range(12_000):
    tokenizer.encode(str(7**70 * (number + 1)).translate(letters))
print(resident_bytes() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 8_000_000
