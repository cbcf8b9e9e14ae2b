"""Special tokens of tokenizers that keep them beside a vocab.json, as transformers' Python tokenizers do.

In go the folder's files and its vocabulary, out come ids for every special token. Called by `marian.py`, `m2m100.py`.
"""

from collections.abc import Mapping
from dataclasses import replace

from tokenizers import AddedToken

from alcove.pipeline.tokenizers.files import TokenizerFiles


def complete(files: TokenizerFiles, defaults: Mapping[str, str]) -> TokenizerFiles:
    """The files, with a tokenizer class's own special tokens where they name none."""
    named = {name: AddedToken(text, special=True, normalized=False) for name, text in defaults.items()}
    return replace(files, special={**named, **files.special})


def add_special(
    files: TokenizerFiles, vocabulary: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, AddedToken], frozenset[str]]:
    """Ids of all tokens, the added tokens by string, and which of them are special. A special token that the
    vocabulary lacks gets the next free id, in the order of the files."""
    ids = dict(vocabulary)
    added = {token.content: token for token in files.added.values()}
    ids.update((token.content, i) for i, token in files.added.items())
    for token in [*files.special.values(), *files.extra]:
        added.setdefault(token.content, token)
        ids.setdefault(token.content, len(ids))
    special = {token.content for token in [*files.special.values(), *files.extra]}
    return ids, added, frozenset(special | {text for text, token in added.items() if token.special})
