"""Pieces join to the text of all ids, whatever the vocabulary and however the ids come."""

from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models

from alcove.pipeline.text.detokenize import WindowDetokenizer
from alcove.pipeline.tokenizers.decoding import Decoding
from alcove.pipeline.tokenizers.fast import FastTokenizer
from alcove.pipeline.tokenizers.files import TokenizerFiles

from .folders import no_files

BYTES = [f"<0x{byte:02X}>" for byte in (0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0x0A, 0x41, 0xFF)]
PIECES = ["▁", "▁a", "b", "▁▁c", "\ufffd", ".", "▁n't", "d▁"]
BYTE_LEVEL = ["Ġ", "Ġa", "b", "â", "Ĥ", "¬", "âĤ¬", "ðŁ", "¦İ", "ÿ", "Ċ", "漢", "\ufffd", "é"]
WORD_PIECES = ["a", "##b", ".", "##!", "'", "s", "n", "##"]


def vocabulary(
    pieces: list[str], decoder: object, files: TokenizerFiles, decoding: Decoding | None = None
) -> FastTokenizer:
    tokenizer = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token=pieces[0]))
    tokenizer.add_tokens([AddedToken("<plain é>", special=False)])
    tokenizer.add_special_tokens(["</s>"])
    if decoder is not None:
        tokenizer.decoder = decoder
    return FastTokenizer(tokenizer, files, decoding or Decoding())


LLAMA = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
KINDS: dict[str, Callable[[TokenizerFiles], FastTokenizer]] = {
    "metaspace": lambda files: vocabulary(PIECES, decoders.Metaspace(), files),
    "byte fallback": lambda files: vocabulary(PIECES + BYTES, decoders.Sequence(LLAMA), files),
    "gemma": lambda files: vocabulary(PIECES + BYTES, decoders.Sequence(LLAMA[:3]), files),
    "byte level": lambda files: vocabulary(BYTE_LEVEL, decoders.ByteLevel(), files),
    "word pieces": lambda files: vocabulary(WORD_PIECES, decoders.WordPiece(), files),
    "letter pairs": lambda files: vocabulary(["a</w>", "b", "c</w>"], decoders.BPEDecoder("</w>"), files),
    "no decoder": lambda files: vocabulary(WORD_PIECES, None, files),
    "cleaned": lambda files: vocabulary(
        ["▁a", "▁.", "▁n", "'", "t", "▁'", "▁", "s", ","], decoders.Metaspace(), files, Decoding(clean_up=True)
    ),
    "special kept": lambda files: vocabulary(PIECES, decoders.Metaspace(), files, Decoding(skip_special=False)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_join_to_the_whole(kind: str) -> None:
    tokenizer = KINDS[kind](no_files())

    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    @given(st.lists(st.lists(st.integers(0, len(tokenizer.target_tokens) + 1), max_size=5), max_size=8))
    def any_chunks(chunks: list[list[int]]) -> None:
        machine = tokenizer.stream()
        whole = tokenizer.decode([i for chunk in chunks for i in chunk])
        assert "".join(map(machine.feed, chunks)) + machine.flush() == whole

    any_chunks()


@pytest.mark.parametrize("kind", ["metaspace", "byte fallback", "gemma", "byte level", "special kept"])
def test_bytes_of_tokens_join_to_the_text(kind: str) -> None:
    """Behind a first token, whose blanks decoders drop; bytes that are no letters are no part of a text."""
    tokenizer = KINDS[kind](no_files())
    first = tokenizer.target_tokens.index("b")

    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    @given(st.lists(st.integers(0, len(tokenizer.target_tokens) + 1), max_size=8))
    def any_tokens(ids: list[int]) -> None:
        text = tokenizer.decode([first, *ids], skip_special=False)
        assume("\ufffd" not in text)
        assert b"".join(map(tokenizer.token_bytes, [first, *ids])).decode() == text

    any_tokens()


def test_bytes_of_single_tokens() -> None:
    def spelled(kind: str, *tokens: str) -> list[bytes]:
        tokenizer = KINDS[kind](no_files())
        return [tokenizer.token_bytes(tokenizer.target_tokens.index(token)) for token in tokens]

    assert spelled("byte fallback", "▁a", "b", "<0xE2>", "<0x0A>", "</s>") == [b" a", b"b", b"\xe2", b"\n", b"</s>"]
    assert spelled("byte level", "Ġa", "â", "漢", "</s>") == [b" a", b"\xe2", "漢".encode(), b"</s>"]
    assert spelled("word pieces", "a", "##b") == [b" a", b"b"]
    assert KINDS["byte level"](no_files()).token_bytes(10_000) == b""


@pytest.mark.parametrize(("kind", "tokens"), [("byte level", ["â", "Ĥ", "¬"]), ("byte fallback", BYTES[:3])])
def test_an_unfinished_letter_is_held_back(kind: str, tokens: list[str]) -> None:
    tokenizer = KINDS[kind](no_files())
    ids = [tokenizer.target_tokens.index(token) for token in tokens]
    machine = tokenizer.stream()
    assert machine.feed(ids[:2]) == ""
    assert machine.feed(ids[2:]) + machine.feed([tokenizer.target_tokens.index("b")]) == "€b"
    machine = tokenizer.stream()
    assert set(machine.feed(ids[:2]) + machine.flush()) == {"\ufffd"}


def test_a_token_costs_the_same_at_any_place() -> None:
    seen: list[int] = []

    def decode(ids: object) -> str:
        seen.append(len(ids))  # type: ignore[arg-type]
        return "x" * len(ids)  # type: ignore[arg-type]

    machine = WindowDetokenizer(decode)
    assert len("".join(machine.feed([1]) for _ in range(500))) == 500
    assert max(seen) == 2


def test_a_text_appears_at_once() -> None:
    tokenizer = KINDS["metaspace"](no_files())
    machine = tokenizer.stream()
    ids = [tokenizer.target_tokens.index(token) for token in ("▁a", "b", "</s>", "▁a")]
    assert [machine.feed([i]) for i in ids] == ["a", "b", "", " a"]
