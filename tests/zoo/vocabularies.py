"""Vocabularies trained on `text.sentences()`: each function returns what a tokenizer class of transformers takes."""

import json
from pathlib import Path

import sentencepiece
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from .text import sentences

Vocabulary = dict[str, int]
Merges = list[tuple[str, str]]
Pieces = list[tuple[str, float]]


def byte_level(size: int, special: list[str]) -> tuple[Vocabulary, Merges]:
    """GPT-2's kind: pairs of bytes, so that one letter beyond ASCII may take several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return _train_bpe(tokenizer, size, special, initial_alphabet=sorted(alphabet), limit_alphabet=256)


def byte_fallback(size: int, special: list[str]) -> tuple[Vocabulary, Merges]:
    """Llama 2's kind: pairs of letters, and a token a byte for letters that are rare."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return _train_bpe(tokenizer, size, special + [f"<0x{byte:02X}>" for byte in range(256)], limit_alphabet=60)


def metaspace(size: int, special: list[str]) -> tuple[Vocabulary, Merges]:
    """NLLB's kind: pairs of letters, unknown letters are `<unk>`."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return _train_bpe(tokenizer, size, special)


def _train_bpe(tokenizer: Tokenizer, size: int, special: list[str], **options: object) -> tuple[Vocabulary, Merges]:
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False, **options)
    tokenizer.train_from_iterator(sentences(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def sentence_pieces(path: Path, size: int, *, seed: int = 7) -> Pieces:
    """Train a SentencePiece unigram model into the file `path`; returns its pieces, `<unk> <s> </s>` first."""
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences(seed=seed)),
            model_writer=file,
            vocab_size=size,
            hard_vocab_limit=False,
            model_type="unigram",
            character_coverage=1.0,
            num_threads=1,
            minloglevel=2,
        )
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [(model.id_to_piece(i), model.get_score(i)) for i in range(model.get_piece_size())]
