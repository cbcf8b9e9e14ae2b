"""What a model is given and what it may not say: cut prompts, banned words, ids that there are not."""

from pathlib import Path

import pytest

from alcove.errors import InvalidRequest
from alcove.pipeline.bans import bad_word_ids, check_ids
from alcove.pipeline.text.stops import StopStrings
from alcove.pipeline.truncate import truncated
from alcove.runs import Options

from .folders import load, write_tokenizer


@pytest.mark.parametrize(
    ("tokens", "bare", "longest", "kept"),
    [
        ((7, 1, 2, 3, 8), (1, 2, 3), 9, (7, 1, 2, 3, 8)),
        ((7, 1, 2, 3, 8), (1, 2, 3), 5, (7, 1, 2, 3, 8)),
        ((7, 1, 2, 3, 8), (1, 2, 3), 4, (7, 2, 3, 8)),
        ((7, 1, 2, 3, 8), (1, 2, 3), 3, (7, 3, 8)),
        ((1, 2, 3), (1, 2, 3), 1, (3,)),
        ((1, 2, 3), (), 1, (3,)),
    ],
)
def test_a_cut_prompt(tokens: tuple[int, ...], bare: tuple[int, ...], longest: int, kept: tuple[int, ...]) -> None:
    assert truncated(tokens, bare, longest) == kept


@pytest.mark.parametrize(("bare", "longest"), [((1, 2, 3), 2), ((1, 2, 3), 0), ((), 0)])
def test_a_prompt_of_which_nothing_is_left(bare: tuple[int, ...], longest: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        truncated((7, *bare, 8) if bare else (1,), bare, longest)
    assert caught.value.param == "truncate_prompt_tokens"


def test_banned_words(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    tokenizer = load(tmp_path)
    # this tokenizer writes a blank before every text, so that both forms of a word begin with the same token
    assert bad_word_ids(["ab", " ab", "c"], tokenizer) == ((2, 3, 4), (2, 5))


def test_ids_that_there_are_not() -> None:
    check_ids(Options(logit_bias={0: 1.0}, allowed_token_ids=(4,), stop_token_ids=(4,), bad_words_ids=((1, 4),)), 5)
    wrong = {
        "logit_bias": Options(logit_bias={5: 1.0}),
        "allowed_token_ids": Options(allowed_token_ids=(0, 5)),
        "stop_token_ids": Options(stop_token_ids=(-1,)),
        "bad_words_ids": Options(bad_words_ids=((1,), (2, 5))),
    }
    for name, options in wrong.items():
        with pytest.raises(InvalidRequest) as caught:
            check_ids(options, 5)
        assert caught.value.param == name


def test_a_stop_string_that_is_kept() -> None:
    stops = StopStrings(["b", "abc", "bc"], keep=True)
    assert stops.feed("xa") == "x"
    assert (stops.feed("bcd"), stops.found, stops.feed("more")) == ("ab", "b", "")
    whole = StopStrings(["abc", "bc"], keep=True)
    assert (whole.feed("xabcd"), whole.found) == ("xabc", "abc")
