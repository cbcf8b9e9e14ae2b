"""Encoder-decoder families: each function writes its tokenizer's files and says what weights go with them."""

import json
from pathlib import Path
from typing import Any

import transformers

from . import vocabularies
from .made import Made

BART_SHAPE = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 128,
}
T5_SHAPE = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}


def _t5_tokenizer(folder: Path) -> int:
    pieces = vocabularies.sentence_pieces(folder / "spiece.model", 200)
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces[3:]]
    vocabulary += [(f"<extra_id_{i}>", 0.0) for i in reversed(range(8))]
    transformers.T5Tokenizer(vocab=vocabulary, extra_ids=8, model_max_length=512).save_pretrained(folder)
    return len(vocabulary)


T5_GENERATION = {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}


def t5(folder: Path, **shape: Any) -> Made:
    tokens = _t5_tokenizer(folder)
    # The table is longer than the tokenizer's, as in the Hub's files (32,128 rows for 32,100 tokens).
    config = transformers.T5Config(vocab_size=tokens + 12, decoder_start_token_id=0, **T5_SHAPE, **shape)
    return Made(config, T5_GENERATION, rare=range(tokens - 8, tokens + 12))


def t5_untied(folder: Path) -> Made:
    """Flan-T5's and T5 v1.1's shape: transformers 5.23 takes `tie_word_embeddings: false` only for "do not scale the
    decoder's output" and then sets it to True; that the output has a matrix of its own it finds in the weights."""
    return t5(folder, feed_forward_proj="gated-gelu", tie_word_embeddings=False)


def mt5(folder: Path) -> Made:
    """T5 v1.1 with a vocabulary of its own; transformers never scales its decoder's output."""
    tokens = _t5_tokenizer(folder)
    return Made(
        transformers.MT5Config(vocab_size=tokens + 12, **T5_SHAPE), T5_GENERATION, range(tokens - 8, tokens + 12)
    )


def umt5(folder: Path) -> Made:
    """mT5, with relative positions in every layer."""
    tokens = _t5_tokenizer(folder)
    config = transformers.UMT5Config(vocab_size=tokens + 12, **T5_SHAPE)
    return Made(config, T5_GENERATION, range(tokens - 8, tokens + 12))


def pegasus(folder: Path) -> Made:
    """Sinusoidal positions, a hundred tokens of its pretraining before the first piece."""
    pieces = vocabularies.sentence_pieces(folder / "spiece.model", 200)
    unused = [f"<unk_{i}>" for i in range(2, 103)]
    head = [(token, 0.0) for token in ("<pad>", "</s>", "<mask_1>", "<mask_2>", *unused, "<unk>")]
    vocabulary = [*head, *pieces[3:]]
    transformers.PegasusTokenizer(vocab=vocabulary, model_max_length=128).save_pretrained(folder)
    ids = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    config = transformers.PegasusConfig(vocab_size=len(vocabulary), scale_embedding=True, **ids, **BART_SHAPE)
    wishes = {"forced_eos_token_id": 1, "length_penalty": 0.8, "num_beams": 8, "max_length": 64}
    return Made(config, {**ids, **wishes}, rare=range(2, len(head)))


def bart(folder: Path) -> Made:
    vocabulary, merges = vocabularies.byte_level(360, ["<s>", "<pad>", "</s>", "<unk>"])
    vocabulary["<mask>"] = len(vocabulary)
    transformers.BartTokenizer(vocab=vocabulary, merges=merges, model_max_length=128).save_pretrained(folder)
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    config = transformers.BartConfig(vocab_size=len(vocabulary), **ids, **BART_SHAPE)
    return Made(config, {**ids, "forced_bos_token_id": 0, "forced_eos_token_id": 2})


def marian(folder: Path) -> Made:
    source = vocabularies.sentence_pieces(folder / "source.spm", 170, seed=7)
    target = vocabularies.sentence_pieces(folder / "target.spm", 190, seed=8)
    pieces = dict.fromkeys(piece for piece, _ in [*source[3:], *target[3:]])
    tokens = ["</s>", "<unk>", *pieces, "<pad>"]
    pad = len(tokens) - 1
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"source_lang": "en", "target_lang": "de", "model_max_length": 128})
    )
    ids = {"pad_token_id": pad, "eos_token_id": 0, "decoder_start_token_id": pad}
    config = transformers.MarianConfig(vocab_size=len(tokens), scale_embedding=True, **ids, **BART_SHAPE)
    wishes = {
        "bad_words_ids": [[pad]],
        "forced_eos_token_id": 0,
        "max_length": 128,
        "num_beams": 4,
        "renormalize_logits": True,
    }
    return Made(config, {**ids, **wishes})


def m2m100(folder: Path) -> Made:
    pieces = vocabularies.sentence_pieces(folder / "sentencepiece.bpe.model", 200)
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *(piece for piece, _ in pieces[3:])]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    tokenizer = transformers.M2M100Tokenizer(
        str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"), model_max_length=128
    )
    tokenizer.save_pretrained(folder)
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    # 100 languages, and 8 rows that no token uses, as in the Hub's files.
    config = transformers.M2M100Config(vocab_size=len(tokens) + 108, scale_embedding=True, **ids, **BART_SHAPE)
    return Made(config, ids, rare=range(len(tokens), len(tokens) + 108))


def nllb(folder: Path) -> Made:
    languages = ["deu_Latn", "eng_Latn", "fra_Latn", "jpn_Jpan"]
    vocabulary, merges = vocabularies.metaspace(260, ["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer = transformers.NllbTokenizer(
        vocab=vocabulary, merges=merges, additional_special_tokens=languages, model_max_length=128
    )
    tokenizer.save_pretrained(folder)
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    config = transformers.M2M100Config(vocab_size=len(tokenizer), scale_embedding=True, **ids, **BART_SHAPE)
    return Made(config, {**ids, "max_length": 100}, rare=tokenizer.convert_tokens_to_ids([*languages, "<mask>"]))


def _mbart_vocabulary(folder: Path, languages: list[str]) -> list[tuple[str, float]]:
    pieces = vocabularies.sentence_pieces(folder / "sentencepiece.bpe.model", 200)
    head = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return [*head, *pieces[3:], *((language, 0.0) for language in languages), ("<mask>", 0.0)]


def mbart(folder: Path) -> Made:
    """The decoder starts from the target language (mbart-large-en-ro)."""
    from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES

    vocabulary = _mbart_vocabulary(folder, FAIRSEQ_LANGUAGE_CODES)
    tokenizer = transformers.MBartTokenizer(vocab=vocabulary, src_lang="en_XX", tgt_lang="ro_RO", model_max_length=128)
    tokenizer.save_pretrained(folder)
    romanian = tokenizer.convert_tokens_to_ids("ro_RO")
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": romanian}
    config = transformers.MBartConfig(vocab_size=len(tokenizer), scale_embedding=True, **ids, **BART_SHAPE)
    return Made(config, {**ids, "forced_eos_token_id": 2}, rare=tokenizer.convert_tokens_to_ids(FAIRSEQ_LANGUAGE_CODES))


def mbart50(folder: Path) -> Made:
    """The target language is forced after the start token (mbart-large-50-many-to-many-mmt)."""
    from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES

    vocabulary = _mbart_vocabulary(folder, FAIRSEQ_LANGUAGE_CODES)
    tokenizer = transformers.MBart50Tokenizer(vocab=vocabulary, model_max_length=128)
    tokenizer.save_pretrained(folder)
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    config = transformers.MBartConfig(vocab_size=len(tokenizer), scale_embedding=True, **ids, **BART_SHAPE)
    return Made(config, {**ids, "forced_eos_token_id": 2}, rare=tokenizer.convert_tokens_to_ids(FAIRSEQ_LANGUAGE_CODES))
