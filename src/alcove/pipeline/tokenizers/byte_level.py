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
_SPECIAL = {"GPT2": _GPT2, "Bart": _ROBERTA, "LED": _ROBERTA, "Roberta": _ROBERTA}
"""Special tokens of a tokenizer class where the files name none, by the name's beginning."""
_CLASSES = {"gpt2": "GPT2", "gptj": "GPT2", "gpt_neo": "GPT2", "opt": "GPT2", "bart": "Bart", "led": "LED"}
"""Tokenizer classes of the families whose files may not name one."""


def class_of(files: TokenizerFiles, model_type: str | None) -> str | None:
    """Which of the classes that this file can build the folder asks for, or None."""
    named = str(files.config.get("tokenizer_class") or "").removesuffix("Fast").removesuffix("Tokenizer")
    chosen = named or _CLASSES.get(model_type or "", "")
    return chosen if chosen in _SPECIAL else None


def build(files: TokenizerFiles, kind: str) -> tuple[Tokenizer, TokenizerFiles]:
    """Build the tokenizer; returns it with the files' special tokens completed. Raises `ModelLoadError`."""
    vocabulary, merges = files.path / "vocab.json", files.path / "merges.txt"
    tokenizer = Tokenizer(_model(vocabulary, merges))
    prefix_space = bool(files.config.get("add_prefix_space", False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    defaults = {
        name: AddedToken(text, special=True, normalized=False, lstrip=name == "mask_token")
        for name, text in _SPECIAL[kind].items()
        if files.config.get(name, text) is not None
    }
    files = replace(files, special={**defaults, **files.special})
    if _SPECIAL[kind] is _ROBERTA:
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
