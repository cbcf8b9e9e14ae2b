"""The model that is measured: the shape of T5-small v1.1 (about 60M parameters), random weights that never end."""

import json
from pathlib import Path

SOURCE_TOKENS = 70
NEW_TOKENS = 64


def t5_60m(root: Path) -> Path:
    """A CTranslate2 int8 folder under `root`, with a tokenizer of made-up words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import T5Config, T5ForConditionalGeneration

    from alcove.store.convert import convert

    torch.manual_seed(0)
    config = T5Config(
        d_model=512, d_ff=1024, num_layers=8, num_heads=6, d_kv=64, vocab_size=32128, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    source = root / "t5-60m-transformers"
    model.save_pretrained(source)
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {f"w{number}": number for number in range(3, 32128)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.save(str(source / "tokenizer.json"))
    names = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    (source / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names}))
    target = root / "t5-60m"
    convert(source, target, "int8")
    return target


def prompt(number: int) -> str:
    """A source of 70 tokens, different for each number."""
    return " ".join(f"w{3 + (number * 7919 + position * 104729) % 32000}" for position in range(SOURCE_TOKENS))
