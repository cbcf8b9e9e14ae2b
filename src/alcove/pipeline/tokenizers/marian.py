"""Marian and OPUS-MT folders: source.spm, target.spm and vocab.json, no tokenizer.json.

In go the folder's files, out comes a `PieceTokenizer` that gives the ids of transformers' `MarianTokenizer`. Called
by `pipeline/tokenizer.py`.
"""

from alcove.errors import ModelLoadError
from alcove.pipeline.tokenizers.decoding import Decoding
from alcove.pipeline.tokenizers.files import TokenizerFiles, read_json
from alcove.pipeline.tokenizers.pieces import PieceTokenizer, Side, read_pieces
from alcove.pipeline.tokenizers.specials import add_special, complete

FILES = ("source.spm", "target.spm", "vocab.json")


def build(files: TokenizerFiles, decoding: Decoding) -> PieceTokenizer:
    """Read the folder. Raises `ModelLoadError` for a missing or broken file."""
    missing = [name for name in FILES if not (files.path / name).is_file()]
    if missing:
        raise ModelLoadError(f"{files.path / missing[0]}: missing, though a Marian model needs it; fetch it again.")
    files = complete(files, {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"})
    vocabulary = read_json(files.path / "vocab.json")
    if files.special["unk_token"].content not in vocabulary:
        raise ModelLoadError(f"{files.path / 'vocab.json'}: has no {files.special['unk_token'].content}.")
    apart = bool(files.config.get("separate_vocabs"))
    ids, added, special = add_special(files, vocabulary)
    target_ids = ids if not apart else add_special(files, read_json(files.path / "target_vocab.json"))[0]
    return PieceTokenizer(
        files,
        decoding,
        source=Side(model=read_pieces(files.path / "source.spm"), ids=ids),
        target=Side(model=read_pieces(files.path / "target.spm"), ids=target_ids),
        added=added,
        special=special,
        prefix=(),
        suffix=(ids[files.special["eos_token"].content],),
        head=_language_code,
        blank_after_special=True,
    )


def _language_code(text: str) -> int:
    """Length of the target language (`>>fra<<`) that multilingual models want before the text."""
    return text.find("<<") + 2 if text.startswith(">>") and "<<" in text else 0
