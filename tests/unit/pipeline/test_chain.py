"""From ids to what the reader sees: tokens, stop strings and text rules together."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alcove.pipeline.prompts.prepared import Prepared
from alcove.pipeline.text.chain import text_chain

from .folders import load, write_tokenizer


def test_a_stop_string_split_across_tokens_ends_the_text(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    tokenizer = load(tmp_path)
    chain = text_chain(tokenizer, ["ena"])
    pieces = [chain.feed([i]) for i in tokenizer.encode("a renard", special=False)]
    assert "".join(pieces) == "a r"
    assert chain.stopped
    assert chain.flush() == ""


def test_an_end_without_a_stop_gives_what_was_held(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    tokenizer = load(tmp_path)
    chain = text_chain(tokenizer, ["enard"])
    assert chain.feed(tokenizer.encode("a rena", special=False)) == "a r"
    assert chain.flush() == "ena"
    assert not chain.stopped
    assert (chain.flush(), chain.feed([5])) == ("", "")


def test_text_rules_see_what_the_stop_strings_leave(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    tokenizer = load(tmp_path)
    chain = text_chain(tokenizer, [" b"], Prepared(text="", text_rules="completion"))
    assert chain.feed(tokenizer.encode("james bond", special=False)) == "James."
    assert chain.stopped


@pytest.mark.parametrize("rules", [None, "completion", "chat"])
def test_any_chunks_give_the_same_text(rules: None, tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    tokenizer = load(tmp_path)
    prepared = Prepared(text="", text_rules=rules)

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(st.lists(st.lists(st.integers(0, 8), max_size=4), max_size=8))
    def any_chunks(chunks: list[list[int]]) -> None:
        alone = text_chain(tokenizer, ["a b", "cc"], prepared)
        one_by_one = [alone.feed([i]) for chunk in chunks for i in chunk]
        together = text_chain(tokenizer, ["a b", "cc"], prepared)
        assert "".join([*one_by_one, alone.flush()]) == "".join([*map(together.feed, chunks), together.flush()])
        assert alone.stopped == together.stopped

    any_chunks()
