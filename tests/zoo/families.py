"""What each family's folder looks like: its tokenizer files, its config.json, its generation_config.json."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import transformers
from transformers import PretrainedConfig

from . import vocabularies


class Made(NamedTuple):
    """What the weights are made for."""

    config: PretrainedConfig
    generation: dict[str, Any]
    """Content of generation_config.json."""
    rare: Iterable[int] = ()
    """Ids that shall hardly ever be chosen: languages, rows without a token."""


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
LLAMA_SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA_CHAT = (
    "{% for message in messages %}{% if message.role == 'assistant' %}{{ message.content }}{{ eos_token }}"
    "{% else %}{{ bos_token }}[INST] {{ message.content }} [/INST]{% endif %}{% endfor %}"
)


@dataclass(frozen=True)
class Family:
    kind: Literal["seq2seq", "causal"]
    make: Callable[[Path], Made]
    """Writes the tokenizer's files into the folder."""
    seed: int = 0
    """Of the weights; chosen so that of `text.PROMPTS` some end early, some go on, and none repeats one token only."""
    config_file: dict[str, Any] = field(default_factory=dict)
    """Keys of config.json that transformers would write otherwise than the Hub's files have them."""


def _t5_tokenizer(folder: Path) -> int:
    pieces = vocabularies.sentence_pieces(folder / "spiece.model", 200)
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces[3:]]
    vocabulary += [(f"<extra_id_{i}>", 0.0) for i in reversed(range(8))]
    transformers.T5Tokenizer(vocab=vocabulary, extra_ids=8, model_max_length=512).save_pretrained(folder)
    return len(vocabulary)


T5_GENERATION = {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}


def _t5(folder: Path, **shape: Any) -> Made:
    tokens = _t5_tokenizer(folder)
    # The table is longer than the tokenizer's, as in the Hub's files (32,128 rows for 32,100 tokens).
    config = transformers.T5Config(vocab_size=tokens + 12, decoder_start_token_id=0, **T5_SHAPE, **shape)
    return Made(config, T5_GENERATION, rare=range(tokens - 8, tokens + 12))


def _t5_untied(folder: Path) -> Made:
    """Flan-T5's and T5 v1.1's shape: transformers 5.23 takes `tie_word_embeddings: false` only for "do not scale the
    decoder's output" and then sets it to True; that the output has a matrix of its own it finds in the weights."""
    return _t5(folder, feed_forward_proj="gated-gelu", tie_word_embeddings=False)


def _bart(folder: Path) -> Made:
    vocabulary, merges = vocabularies.byte_level(360, ["<s>", "<pad>", "</s>", "<unk>"])
    vocabulary["<mask>"] = len(vocabulary)
    transformers.BartTokenizer(vocab=vocabulary, merges=merges, model_max_length=128).save_pretrained(folder)
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    config = transformers.BartConfig(vocab_size=len(vocabulary), **ids, **BART_SHAPE)
    return Made(config, {**ids, "forced_bos_token_id": 0, "forced_eos_token_id": 2})


def _marian(folder: Path) -> Made:
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


def _m2m100(folder: Path) -> Made:
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


def _nllb(folder: Path) -> Made:
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


def _mbart(folder: Path) -> Made:
    """The decoder starts from the target language (mbart-large-en-ro)."""
    from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES

    vocabulary = _mbart_vocabulary(folder, FAIRSEQ_LANGUAGE_CODES)
    tokenizer = transformers.MBartTokenizer(vocab=vocabulary, src_lang="en_XX", tgt_lang="ro_RO", model_max_length=128)
    tokenizer.save_pretrained(folder)
    romanian = tokenizer.convert_tokens_to_ids("ro_RO")
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": romanian}
    config = transformers.MBartConfig(vocab_size=len(tokenizer), scale_embedding=True, **ids, **BART_SHAPE)
    return Made(config, {**ids, "forced_eos_token_id": 2}, rare=tokenizer.convert_tokens_to_ids(FAIRSEQ_LANGUAGE_CODES))


def _mbart50(folder: Path) -> Made:
    """The target language is forced after the start token (mbart-large-50-many-to-many-mmt)."""
    from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES

    vocabulary = _mbart_vocabulary(folder, FAIRSEQ_LANGUAGE_CODES)
    tokenizer = transformers.MBart50Tokenizer(vocab=vocabulary, model_max_length=128)
    tokenizer.save_pretrained(folder)
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    config = transformers.MBartConfig(vocab_size=len(tokenizer), scale_embedding=True, **ids, **BART_SHAPE)
    return Made(config, {**ids, "forced_eos_token_id": 2}, rare=tokenizer.convert_tokens_to_ids(FAIRSEQ_LANGUAGE_CODES))


def _gpt2(folder: Path) -> Made:
    vocabulary, merges = vocabularies.byte_level(350, [])
    end = vocabulary["<|endoftext|>"] = len(vocabulary)
    transformers.GPT2Tokenizer(vocab=vocabulary, merges=merges, model_max_length=128).save_pretrained(folder)
    ids = {"bos_token_id": end, "eos_token_id": end}
    config = transformers.GPT2Config(vocab_size=len(vocabulary), n_positions=128, n_embd=32, n_layer=2, n_head=4, **ids)
    return Made(config, ids)


def _opt(folder: Path) -> Made:
    vocabulary, merges = vocabularies.byte_level(350, ["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer = transformers.GPT2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        bos_token="</s>",
        eos_token="</s>",
        unk_token="</s>",
        pad_token="<pad>",
        add_bos_token=True,
    )
    tokenizer.save_pretrained(folder)
    ids = {"bos_token_id": 2, "pad_token_id": 1, "eos_token_id": 2}
    config = transformers.OPTConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        word_embed_proj_dim=32,
        **ids,
    )
    return Made(config, ids)


def _llama(folder: Path) -> Made:
    vocabulary, merges = vocabularies.byte_fallback(450, ["<unk>", "<s>", "</s>"])
    tokenizer = transformers.LlamaTokenizer(vocab=vocabulary, merges=merges, model_max_length=256, add_bos_token=True)
    tokenizer.chat_template = LLAMA_CHAT
    tokenizer.save_pretrained(folder)
    ids = {"bos_token_id": 1, "eos_token_id": 2}
    return Made(transformers.LlamaConfig(vocab_size=len(vocabulary), **ids, **LLAMA_SHAPE), ids)


def _qwen2(folder: Path) -> Made:
    """Two tokens end an answer; the vocabulary's table is longer than the tokenizer's."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary, merges = vocabularies.byte_level(350, [])
    tokenizer = transformers.Qwen2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=special,
        model_max_length=256,
    )
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    end_of_text, _, end_of_turn = (tokenizer.convert_tokens_to_ids(token) for token in special)
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer) + 9, bos_token_id=end_of_text, eos_token_id=end_of_turn, **LLAMA_SHAPE
    )
    generation = {
        "bos_token_id": end_of_text,
        "pad_token_id": end_of_text,
        "eos_token_id": [end_of_turn, end_of_text],
        "do_sample": True,
        "temperature": 0.7,
        "top_k": 20,
        "top_p": 0.8,
        "repetition_penalty": 1.1,
    }
    return Made(config, generation, rare=range(len(tokenizer), len(tokenizer) + 9))


FAMILIES = {
    "t5": Family("seq2seq", _t5, seed=48, config_file={"tie_word_embeddings": True}),
    "t5-untied": Family("seq2seq", _t5_untied, seed=22, config_file={"tie_word_embeddings": False}),
    "bart": Family("seq2seq", _bart, seed=1),
    "marian": Family("seq2seq", _marian, seed=53),
    "m2m100": Family("seq2seq", _m2m100, seed=24),
    "nllb": Family("seq2seq", _nllb, seed=50),
    "mbart": Family("seq2seq", _mbart, seed=31),
    "mbart50": Family("seq2seq", _mbart50, seed=15),
    "gpt2": Family("causal", _gpt2, seed=21),
    "opt": Family("causal", _opt, seed=12),
    "llama": Family("causal", _llama, seed=4),
    "qwen2": Family("causal", _qwen2, seed=1),
}
