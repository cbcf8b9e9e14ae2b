"""The models that are measured: well-known shapes with random weights, whose answers are words and never end.

Each function writes a transformers folder, with a tokenizer of made-up words, and its int8 conversion under `root`
and returns both. `python -m tests.bench.models NAME ROOT` makes one.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

WORDS = 32_000
SOURCE_TOKENS = 70


class Folders(NamedTuple):
    """One model in both layouts."""

    transformers: Path
    """float32."""
    ctranslate2: Path
    """int8."""

    @classmethod
    def under(cls, folder: Path) -> Self:
        """Where both are in a model's folder."""
        return cls(folder / "transformers", folder / "ctranslate2")


def t5_60m(root: Path) -> Folders:
    """T5-small v1.1's shape."""
    return _t5(root / "t5-60m", d_model=512, d_ff=1024, num_layers=8, num_heads=6)


def t5_223m(root: Path) -> Folders:
    """T5-base v1.1's shape."""
    return _t5(root / "t5-223m", d_model=768, d_ff=2048, num_layers=12, num_heads=12)


def llama_125m(root: Path) -> Folders:
    """Llama's shape at the size of GPT-2."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12, num_key_value_heads=12,
        vocab_size=32128, max_position_embeddings=2048, bos_token_id=None, eos_token_id=1, pad_token_id=0,
        tie_word_embeddings=True,
    )  # fmt: skip
    return _folders(root / "llama-125m", LlamaForCausalLM, config, eos=False)


def prompt(number: int, words: int = SOURCE_TOKENS - 1) -> str:
    """A text of so many words, a token each, another for each number; encoder-decoders add an end to it."""
    return " ".join(f"w{3 + (number * 7919 + position * 104729) % WORDS}" for position in range(words))


def _t5(folder: Path, **shape: int) -> Folders:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        **shape, d_kv=64, vocab_size=32128, feed_forward_proj="gated-gelu", tie_word_embeddings=False,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return _folders(folder, T5ForConditionalGeneration, config, eos=True)


def _folders(folder: Path, network: Any, config: Any, *, eos: bool) -> Folders:
    import torch

    from alcove.store.convert import convert

    made = Folders.under(folder)
    torch.manual_seed(0)
    model = network(config)
    with torch.no_grad():
        model.get_output_embeddings().weight[:3] = 0.0  # so that no special token is ever the most probable one
    model.save_pretrained(made.transformers)
    _tokenizer(eos=eos).save(str(made.transformers / "tokenizer.json"))
    names = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    _write(made.transformers / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **names})
    convert(made.transformers, made.ctranslate2, "int8")
    return made


def _tokenizer(*, eos: bool) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {f"w{number}": number for number in range(3, WORDS + 3)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    if eos:
        tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content))


MAKERS = {"t5-60m": t5_60m, "t5-223m": t5_223m, "llama-125m": llama_125m}

if __name__ == "__main__":
    MAKERS[sys.argv[1]](Path(sys.argv[2]))
