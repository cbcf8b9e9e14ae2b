"""Languages that a request names, or does not name."""

from pathlib import Path
from typing import Any

import pytest

from alcove.errors import InvalidRequest
from alcove.pipeline.tokenizers.languages import Languages, languages_of
from alcove.store.folder import GenerationDefaults

from .folders import VOCABULARY, folder, load, write_tokenizer

NLLB = ("eng_Latn", "fra_Latn", "deu_Latn")
ENGLISH, FRENCH = len(VOCABULARY), len(VOCABULARY) + 1


def languages(path: Path, *tokens: str, start: int | None = None, **config: Any) -> Languages | None:
    write_tokenizer(path, *tokens, **config)
    return languages_of(folder(path, generation=GenerationDefaults(decoder_start=start)), load(path))


def nllb(path: Path, **config: Any) -> Languages:
    found = languages(path, *NLLB, tokenizer_class="NllbTokenizer", **config)
    assert found is not None
    return found


def test_languages_of_a_request(tmp_path: Path) -> None:
    found = nllb(tmp_path)
    assert found.codes == ("deu_Latn", "eng_Latn", "fra_Latn")
    assert found.encode("a") == (ENGLISH, 2, 3, 1)
    assert found.encode("a", "fra_Latn") == (FRENCH, 2, 3, 1)
    assert found.target_id("fra_Latn") == FRENCH


def test_the_folders_own_languages(tmp_path: Path) -> None:
    found = nllb(tmp_path, src_lang="fra_Latn", tgt_lang="eng_Latn")
    assert found.encode("a")[0] == FRENCH
    assert found.target_id() == ENGLISH
    assert found.target_id(default=FRENCH) == FRENCH


@pytest.mark.parametrize("param", ["source_lang", "target_lang"])
def test_an_unknown_language(param: str, tmp_path: Path) -> None:
    found = nllb(tmp_path)
    with pytest.raises(InvalidRequest, match="fra_Latn") as caught:
        found.encode("a", "fra_latn") if param == "source_lang" else found.target_id("fr")
    assert caught.value.param == param


def test_a_missing_target(tmp_path: Path) -> None:
    found = nllb(tmp_path)
    with pytest.raises(InvalidRequest, match="set target_lang to one of its codes, such as deu_Latn") as caught:
        found.target_id()
    assert caught.value.param == "target_lang"
    assert found.target_id(default=7) == 7


def test_a_missing_source(tmp_path: Path) -> None:
    found = languages(tmp_path, "fra_Latn", "deu_Latn", tokenizer_class="NllbTokenizer")
    assert found is not None
    with pytest.raises(InvalidRequest, match="source_lang") as caught:
        found.encode("a")
    assert caught.value.param == "source_lang"


def test_a_model_that_starts_from_its_target(tmp_path: Path) -> None:
    found = languages(tmp_path, "en_XX", "ro_RO", start=ENGLISH + 1, tokenizer_class="MBartTokenizer")
    assert found is not None
    assert found.encode("a", "en_XX") == (2, 3, 1, ENGLISH)
    assert found.target_id() is found.target_id("ro_RO") is None
    with pytest.raises(InvalidRequest, match="translates into ro_RO only") as caught:
        found.target_id("en_XX")
    assert caught.value.param == "target_lang"


def test_models_without_languages(tmp_path: Path) -> None:
    assert languages(tmp_path) is None
    assert languages(tmp_path, "eng_Latn") is None


def opus(path: Path) -> Languages:
    found = languages(path, ">>fra<<", ">>deu<<")
    assert found is not None
    return found


def test_languages_in_the_text(tmp_path: Path) -> None:
    found = opus(tmp_path)
    assert found.codes == ("deu", "fra")
    expected = load(tmp_path).encode(">>fra<< a")
    assert expected[0] == len(VOCABULARY)
    assert found.encode(">>fra<< a") == found.encode(">>fra<< a", None, "fra") == found.encode("a", None, "fra")
    assert found.encode("a", None, "fra") == expected
    assert found.target_id("fra", default=3) == 3


@pytest.mark.parametrize(
    ("text", "source", "target", "param", "told"),
    [
        ("a", None, None, "target_lang", "such as deu, fra"),
        (">>xyz<< a", None, None, "target_lang", "'xyz' is no language"),
        ("a", None, "fr", "target_lang", "nearest of its 2 codes: fra"),
        (">>fra<< a", None, "deu", "target_lang", "begins with >>fra<<"),
        ("a", "eng", "fra", "source_lang", "by itself"),
    ],
)
def test_languages_in_the_text_that_cannot_be(
    text: str, source: str | None, target: str | None, param: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match=told) as caught:
        opus(tmp_path).encode(text, source, target)
    assert caught.value.param == param
