"""Model folders without weights, made by the tests of this directory."""

import json
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from alcove.config.settings import ModelSettings
from alcove.pipeline.tokenizer import Tokenizer as PipelineTokenizer
from alcove.pipeline.tokenizer import load_tokenizer
from alcove.pipeline.tokenizers.files import TokenizerFiles
from alcove.store.folder import ModelFolder

VOCABULARY = {piece: i for i, piece in enumerate(["<unk>", "</s>", "▁", *"abcdefghijklmnopqrstuvwxyz"])}


def no_files() -> TokenizerFiles:
    return TokenizerFiles(Path("nowhere"), {}, frozenset(), {}, (), {})


def write_tokenizer(path: Path, *special: str, **config: Any) -> None:
    """A tokenizer.json of single letters, and a tokenizer_config.json."""
    tokenizer = Tokenizer(models.BPE(VOCABULARY, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["</s>", *special])
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>", **config}))


def folder(path: Path, kind: Literal["seq2seq", "causal"] = "seq2seq", **facts: Any) -> ModelFolder:
    return ModelFolder(path=path, layout="transformers", kind=kind, **facts)


def load(path: Path, **options: Any) -> PipelineTokenizer:
    return load_tokenizer(folder(path), ModelSettings(name="m", source="m", engine_options=options))
