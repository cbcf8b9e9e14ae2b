"""Byte-level tokenizers without a tokenizer.json: vocab.json and merges.txt, as GPT-2, OPT and BART were published.

In go the folder's files, out comes a `tokenizers.Tokenizer` that gives the ids of transformers' classes for them.
Called by `pipeline/tokenizer.py`.
"""

from dataclasses import replace
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from alcove.errors import ModelLoadError
from alcove.pipeline.tokenizers.files import TokenizerFiles

_GPT2 = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
_ROBERTA = {
    "bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>",
    "pad_token": "<pad>", "mask_token": "<mask>",
}  # fmt: skip
_SPECIAL = {
    "GPT2Tokenizer": _GPT2, "BartTokenizer": _ROBERTA, "LEDTokenizer": _ROBERTA, "RobertaTokenizer": _ROBERTA,
}  # fmt: skip
"""Special tokens of a tokenizer class where the files name none."""


def can_build(files: TokenizerFiles, named: str) -> bool:
    """Whether the folder has the files, and asks for one of the classes, that `build` knows."""
    return named.removesuffix("Fast") in _SPECIAL and bool(files.find("vocab.json") and files.find("merges.txt"))


def build(files: TokenizerFiles, named: str) -> tuple[Tokenizer, TokenizerFiles]:
    """Build the tokenizer; returns it with the files' special tokens completed. Raises `ModelLoadError`."""
    special = _SPECIAL[named.removesuffix("Fast")]
    vocabulary, merges = files.path / "vocab.json", files.path / "merges.txt"
    tokenizer = Tokenizer(_model(vocabulary, merges))
    prefix_space = bool(files.config.get("add_prefix_space", False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    defaults = {
        name: AddedToken(text, special=True, normalized=False, lstrip=name == "mask_token")
        for name, text in special.items()
        if files.config.get(name, text) is not None
    }
    files = replace(files, special={**defaults, **files.special})
    if special is _ROBERTA:
        tokenizer.add_special_tokens(list(files.special.values()))
        cls, sep = (files.special[name].content for name in ("cls_token", "sep_token"))
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[cls, "$A", sep], special_tokens=[(token, tokenizer.token_to_id(token)) for token in {cls, sep}]
        )
    return tokenizer, files


def _model(vocabulary: Path, merges: Path) -> models.BPE:
    try:
        return models.BPE.from_file(str(vocabulary), str(merges))
    except Exception as error:
        raise ModelLoadError(
            f"{vocabulary}, {merges.name}: cannot be read ({error}); fetch the model again."
        ) from error
