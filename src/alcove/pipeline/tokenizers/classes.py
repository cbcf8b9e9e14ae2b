"""Where transformers' tokenizer classes do not follow a folder's tokenizer.json.

In goes the tokenizer of the file, out comes the same with the steps that transformers 5 gives every tokenizer of that
class, whatever the file says (Llama 2's and T5's files of different years differ). Called by `pipeline/tokenizer.py`;
`tests/fidelity/test_text.py` fails when transformers changes this.
"""

import base64
import json
from typing import Any

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers

from alcove.pipeline.tokenizers.files import TokenizerFiles


def follow_class(tokenizer: Tokenizer, files: TokenizerFiles, model_type: str | None) -> None:
    """Change the tokenizer's steps to those of its class, if it is one with steps of its own."""
    named = str(files.config.get("tokenizer_class", "")).removesuffix("Fast")
    if named == "LlamaTokenizer" and model_type in ("llama", None) and not _byte_level(tokenizer):
        _llama(tokenizer, files)
    elif named == "T5Tokenizer" and model_type in ("t5", "mt5", None):
        _t5(tokenizer)


def _llama(tokenizer: Tokenizer, files: TokenizerFiles) -> None:
    """A blank before the text; before every text between special tokens only with the `legacy` of older files."""
    prefix_space = files.config.get("add_prefix_space") is not False
    scheme = ("always" if files.config.get("legacy") else "first") if prefix_space else "never"
    tokenizer.normalizer = None
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme, split=False)
    strip = [decoders.Strip(content=" ", left=1)] if prefix_space else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )


def _t5(tokenizer: Tokenizer) -> None:
    """Words are split at any white space; of the normalizers only SentencePiece's table of letters is used."""
    tables = [part["precompiled_charsmap"] for part in _parts(tokenizer.normalizer) if part["type"] == "Precompiled"]
    tokenizer.normalizer = normalizers.Precompiled(base64.b64decode(tables[0])) if tables else None
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always", split=True)


def _byte_level(tokenizer: Tokenizer) -> bool:
    parts = [*_parts(tokenizer.pre_tokenizer), *_parts(tokenizer.decoder)]
    return any(part["type"] == "ByteLevel" for part in parts)


def _parts(step: Any) -> list[dict[str, Any]]:
    """The steps that a normalizer, pre-tokenizer or decoder consists of, as tokenizer.json writes them."""
    if step is None:
        return []
    state = json.loads(step.__getstate__())
    for name in ("normalizers", "pretokenizers", "decoders"):
        if name in state:
            return list(state[name])
    return [state]
