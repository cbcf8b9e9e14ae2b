"""M2M100 folders: sentencepiece.bpe.model and vocab.json, no tokenizer.json.

In go the folder's files, out comes a `PieceTokenizer` that gives the ids of transformers' `M2M100Tokenizer`. Called
by `pipeline/tokenizer.py`. Languages are tokens like `__en__`, which stand behind the vocabulary without being in it.
"""

from alcove.errors import ModelLoadError
from alcove.pipeline.tokenizers.decoding import Decoding
from alcove.pipeline.tokenizers.files import TokenizerFiles, read_json
from alcove.pipeline.tokenizers.pieces import PieceTokenizer, Side, read_pieces
from alcove.pipeline.tokenizers.specials import add_special, complete

FILES = ("sentencepiece.bpe.model", "vocab.json")

_CODES = {
    "m2m100": (
        "af", "am", "ar", "ast", "az", "ba", "be", "bg", "bn", "br", "bs", "ca", "ceb", "cs", "cy", "da", "de",
        "el", "en", "es", "et", "fa", "ff", "fi", "fr", "fy", "ga", "gd", "gl", "gu", "ha", "he", "hi", "hr", "ht",
        "hu", "hy", "id", "ig", "ilo", "is", "it", "ja", "jv", "ka", "kk", "km", "kn", "ko", "lb", "lg", "ln", "lo",
        "lt", "lv", "mg", "mk", "ml", "mn", "mr", "ms", "my", "ne", "nl", "no", "ns", "oc", "or", "pa", "pl", "ps",
        "pt", "ro", "ru", "sd", "si", "sk", "sl", "so", "sq", "sr", "ss", "su", "sv", "sw", "ta", "th", "tl", "tn",
        "tr", "uk", "ur", "uz", "vi", "wo", "xh", "yi", "yo", "zh", "zu",
    ),
    "wmt21": ("en", "ha", "is", "ja", "cs", "ru", "zh", "de"),
}  # fmt: skip
"""Languages in the order of their ids, by the configuration's `language_codes`."""


def build(files: TokenizerFiles, decoding: Decoding) -> PieceTokenizer:
    """Read the folder. Raises `ModelLoadError` for a missing or broken file."""
    missing = [name for name in FILES if not (files.path / name).is_file()]
    if missing:
        raise ModelLoadError(
            f"{files.path / missing[0]}: missing, though it belongs to an M2M100 model; fetch it again."
        )
    files = complete(
        files,
        {"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"},
    )
    vocabulary = read_json(files.path / "vocab.json")
    codes = _CODES.get(str(files.config.get("language_codes", "m2m100")), _CODES["m2m100"])
    languages = {f"__{code}__": len(vocabulary) + i for i, code in enumerate(codes)}
    ids, added, special = add_special(files, {**vocabulary, **languages})
    side = Side(model=read_pieces(files.path / "sentencepiece.bpe.model"), ids=ids)
    source = files.config.get("src_lang") or "en"
    return PieceTokenizer(
        files,
        decoding,
        source=side,
        target=side,
        added=added,
        special=special,
        prefix=(ids[f"__{source}__"],),
        suffix=(ids[files.special["eos_token"].content],),
    )
