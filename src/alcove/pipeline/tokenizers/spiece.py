"""T5's SentencePiece file without a tokenizer.json: spiece.model, as T5, Flan-T5 and mT5 were published.

In goes the file, out comes a `tokenizers.Tokenizer` that gives the ids of transformers' `T5Tokenizer`. Called by
`pipeline/tokenizer.py`. The file is a protocol buffer; the few fields needed are read here, so that the base install
needs no protobuf.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from alcove.errors import ModelLoadError
from alcove.pipeline.tokenizers.files import TokenizerFiles
from alcove.pipeline.tokenizers.specials import complete

_CONTROL, _USER_DEFINED = 3, 4
_UNIGRAM = 1


@dataclass(frozen=True, slots=True)
class PieceFile:
    """What a SentencePiece model file holds."""

    pieces: tuple[tuple[str, float, int], ...]
    """String, score and type of every piece, by id."""
    algorithm: int
    """1 is unigram, 2 is pairs of letters."""
    normalization: bytes
    """Compiled table of letters that are replaced before anything else; empty: none."""


def read_piece_file(path: Path) -> PieceFile:
    """Read the file. Raises `ModelLoadError`.

    Numbers are those of sentencepiece_model.proto: pieces (1) of string (1), score (2), type (3); trainer (2) with
    algorithm (3); normalizer (3) with table (2).
    """
    pieces: list[tuple[str, float, int]] = []
    algorithm, normalization = _UNIGRAM, b""
    try:
        for number, value in _fields(path.read_bytes()):
            part = dict(_fields(value)) if number in (1, 2, 3) and isinstance(value, bytes) else {}
            if number == 1:
                score = struct.unpack("<f", bytes(part.get(2, bytes(4))))[0]
                pieces.append((bytes(part.get(1, b"")).decode(), score, int(part.get(3, 1))))
            elif number == 2:
                algorithm = int(part.get(3, _UNIGRAM))
            elif number == 3:
                normalization = bytes(part.get(2, b""))
    except (OSError, ValueError, TypeError, IndexError, struct.error) as error:
        raise ModelLoadError(f"{path}: not a SentencePiece model ({error}); fetch the model again.") from error
    if not pieces:
        raise ModelLoadError(f"{path}: not a SentencePiece model (it has no pieces); fetch the model again.")
    return PieceFile(tuple(pieces), algorithm, normalization)


def build_t5(files: TokenizerFiles, path: Path) -> tuple[Tokenizer, TokenizerFiles]:
    """Build the tokenizer; returns it with the files' special tokens completed. Raises `ModelLoadError`."""
    file = read_piece_file(path)
    extra_ids = int(files.config.get("extra_ids", 100))
    sentinels = [f"<extra_id_{i}>" for i in reversed(range(extra_ids))]
    vocabulary = [(piece, score) for piece, score, _ in file.pieces] + [(sentinel, 0.0) for sentinel in sentinels]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2, byte_fallback=False))
    if file.normalization:
        tokenizer.normalizer = normalizers.Precompiled(file.normalization)
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    files = complete(files, {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"})
    marked = [
        AddedToken(piece, special=kind == _CONTROL, normalized=False)
        for piece, _, kind in file.pieces
        if kind in (_CONTROL, _USER_DEFINED)
    ]
    if not files.extra:
        extra = [AddedToken(text, special=True, normalized=False) for text in sentinels]
        files = replace(files, extra=(*(token for token in marked if token.special), *extra))
    tokenizer.add_special_tokens([*files.special.values(), *files.extra])
    tokenizer.add_tokens([token for token in marked if not token.special])
    end = files.special["eos_token"].content
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", end], special_tokens=[(end, tokenizer.token_to_id(end))]
    )
    return tokenizer, files


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of a protocol buffer's fields."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            length, at = _varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"unknown wire type {kind} at byte {at}")
        if at + length > len(data):
            raise ValueError("cut off")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
