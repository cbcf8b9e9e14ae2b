"""Which tokenizers a pull converts, and that the ids stay those of transformers."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import transformers

from alcove.config.settings import ModelSettings
from alcove.errors import ModelLoadError
from alcove.pipeline.tokenizer import load_tokenizer
from alcove.store.pull import pull
from alcove.store.recognise import recognise
from alcove.store.tokenizers import needs_transformers

from ...fakehub import FakeHub, contents

Zoo = Callable[[str], Path]
TEXTS = ("Hello world", "  two  spaces \n newline\t tab ", "naïve café 🦎 漢字 x", "</s> and <pad><unk> x</s>", "")


def without_tokenizer_json(zoo: Zoo, name: str, to: Path) -> Path:
    """The folder as older ones were published: SentencePiece's file instead."""
    return Path(shutil.copytree(zoo(name), to / name, ignore=shutil.ignore_patterns("tokenizer.json")))


@pytest.mark.parametrize(
    ("name", "needed"),
    [("mbart", True), ("mbart50", True), ("marian", False), ("m2m100", False), ("t5", False)],
)
def test_what_the_base_install_reads_itself_stays(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, needed: bool
) -> None:
    folder = recognise(without_tokenizer_json(zoo, name, tmp_path))
    assert needs_transformers(folder.path, folder.model_type) is needed
    assert not needs_transformers(zoo("llama"), "llama")
    oracle = transformers.AutoTokenizer.from_pretrained(folder.path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    settings = ModelSettings(name="m", source=str(folder.path))
    if needed:
        with pytest.raises(ModelLoadError, match="needs transformers"):
            load_tokenizer(folder, settings)
    else:
        tokenizer = load_tokenizer(folder, settings)
        assert [tokenizer.encode(text) for text in TEXTS] == [tuple(oracle(text).input_ids) for text in TEXTS]


@pytest.mark.parametrize("name", ["mbart", "mbart50"])
def test_a_pull_writes_a_tokenizer_json_of_the_same_ids(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    original = without_tokenizer_json(zoo, name, tmp_path)
    oracle = transformers.AutoTokenizer.from_pretrained(original)
    with FakeHub({"zoo/slow": contents(original)}) as hub:
        pulled = pull("zoo/slow", tmp_path, engine="transformers", endpoint=hub.url)
    assert (pulled.folder / "tokenizer.json").exists()
    monkeypatch.setitem(sys.modules, "transformers", None)
    tokenizer = load_tokenizer(recognise(pulled.folder), ModelSettings(name="m", source="zoo/slow"))
    assert [tokenizer.encode(text) for text in TEXTS] == [tuple(oracle(text).input_ids) for text in TEXTS]
    ids = [int(number) for text in TEXTS for number in oracle(text).input_ids]
    assert tokenizer.decode(ids) == oracle.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
