"""What a model folder says about its tokenizer beside the vocabulary: special tokens, languages, templates.

In go a folder and the settings' `tokenizer` keywords (of `AutoTokenizer.from_pretrained`), out comes `TokenizerFiles`,
which the loaders in this package read. Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from tokenizers import AddedToken

from alcove.errors import ConfigurationError, ModelLoadError

_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

_HONOURED = {
    *_NAMED, "add_bos_token", "add_eos_token", "add_prefix_space", "additional_special_tokens", "chat_template",
    "clean_up_tokenization_spaces", "extra_ids", "extra_special_tokens", "legacy", "legacy_behaviour", "source_lang",
    "src_lang", "subfolder", "target_lang", "tgt_lang",
}  # fmt: skip
_IMMATERIAL = {
    "cache_dir", "force_download", "from_slow", "local_files_only", "max_len", "max_length", "model_input_names",
    "model_max_length", "padding", "padding_side", "proxies", "resume_download", "return_tensors", "revision", "token",
    "truncation", "truncation_side", "use_auth_token", "use_fast", "verbose",
}  # fmt: skip
"""Keywords that cannot change which ids a text becomes here: folders are local, lengths are checked elsewhere."""


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """A tokenizer's configuration, with the settings' keywords already laid over it."""

    path: Path
    """The folder that holds the tokenizer's files."""
    config: Mapping[str, Any]
    """tokenizer_config.json, the keywords over it."""
    overrides: frozenset[str]
    """Names of the keywords that were given."""
    special: Mapping[str, AddedToken]
    """Named special tokens: `bos_token`, `eos_token`, and whatever else the files call `..._token`."""
    extra: tuple[AddedToken, ...]
    """Further special tokens without a name of their own."""
    added: Mapping[int, AddedToken]
    """Tokens beside the vocabulary file, by id."""

    def find(self, *names: str) -> Path | None:
        """The first of these files that exists."""
        return next((self.path / name for name in names if (self.path / name).is_file()), None)

    def special_text(self, name: str) -> str | None:
        """A named special token's string."""
        token = self.special.get(name)
        return None if token is None else token.content


def read_files(folder: Path, keywords: Mapping[str, Any]) -> TokenizerFiles:
    """Read the folder. Raises `ConfigurationError` for a keyword that alcove does not take, `ModelLoadError` for a
    file that is not JSON, or holds something else than a tokenizer's configuration."""
    _check(keywords)
    path = folder / str(keywords.get("subfolder", ""))
    try:
        return _read(path, keywords)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ModelLoadError(
            f"{path}: tokenizer_config.json, special_tokens_map.json or added_tokens.json has tokens in no known form "
            f"({error}); fetch the model again."
        ) from error


def _read(path: Path, keywords: Mapping[str, Any]) -> TokenizerFiles:
    config = {**read_json(path / "tokenizer_config.json"), **keywords}
    added = {int(i): _token(token) for i, token in config.get("added_tokens_decoder", {}).items()}
    if not added:
        # Files from before transformers 4.34: the tokens beside the vocabulary stand in files of their own.
        config = {**config, **read_json(path / "special_tokens_map.json"), **keywords}
        strings = {_token(config[name]).content for name in _NAMED if config.get(name)}
        for text, i in read_json(path / "added_tokens.json").items():
            added[int(i)] = AddedToken(text, special=text in strings, normalized=text not in strings)
    known = {token.content: token for token in added.values()}

    def token(value: Any) -> AddedToken:
        made = _token(value)
        return known.get(made.content, made)

    extra = config.get("extra_special_tokens") or config.get("additional_special_tokens") or []
    named = {**config, **extra} if isinstance(extra, dict) else config
    special = {
        name: token(value)
        for name, value in named.items()
        if name.endswith("_token") and name not in _IMMATERIAL and _is_token(value)
    }
    others = () if isinstance(extra, dict) else tuple(map(token, extra))
    return TokenizerFiles(path, config, frozenset(keywords), special, others, added)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, empty when the file is absent. Raises `ModelLoadError`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError, RecursionError) as error:
        raise ModelLoadError(f"{path}: cannot be read as JSON ({error}); fetch the model again.") from error
    if not isinstance(content, dict):
        raise ModelLoadError(f"{path}: holds no JSON object; fetch the model again.")
    return content


def _is_token(value: Any) -> bool:
    return bool(value) and (isinstance(value, str) or (isinstance(value, dict) and "content" in value))


def _token(value: Any) -> AddedToken:
    if isinstance(value, dict):
        fields = {key: value[key] for key in ("lstrip", "rstrip", "single_word", "normalized") if key in value}
        return AddedToken(value["content"], special=value.get("special", True), **fields)
    return AddedToken(str(value), special=True, normalized=False)


def _check(keywords: Mapping[str, Any]) -> None:
    if keywords.get("trust_remote_code"):
        raise ConfigurationError(
            "engine_options.tokenizer.trust_remote_code: alcove runs no code from a model folder; remove the key: a "
            "tokenizer.json, or a class that transformers has itself, needs none."
        )
    subfolder = PurePath(str(keywords.get("subfolder", "")))
    if subfolder.is_absolute() or ".." in subfolder.parts:
        raise ConfigurationError(
            f"engine_options.tokenizer.subfolder: {str(subfolder)!r} is not in the model's folder; name one that is."
        )
    unknown = sorted(set(keywords) - _HONOURED - _IMMATERIAL - {"trust_remote_code"})
    if unknown:
        raise ConfigurationError(
            f"engine_options.tokenizer.{unknown[0]}: not a tokenizer keyword that alcove takes; "
            f"it takes {', '.join(sorted(_HONOURED))}."
        )
