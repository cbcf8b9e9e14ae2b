"""What in a model's files would run foreign code, refused before a library reads them; alcove has no switch for it.

`store/untrusted.py` asks for every folder, `store/staging.py` before any weights are fetched.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alcove.errors import ModelLoadError
from alcove.store.jsonfile import read_object

CODE_KEYS = frozenset({"auto_map", "custom_pipelines", "trust_remote_code", "custom_generate"})
"""Keys by which transformers finds Python files to run."""
KERNEL_KEYS = frozenset({"attn_implementation", "_attn_implementation", "experts_implementation"})
"""Keys that may name a repository of kernels, which are programs, instead of an implementation."""
INTERNAL = "_internal"
"""End of the names of transformers' own attributes behind those keys, which a file can set as well."""
TOKENIZER_CONFIG = "tokenizer_config.json"
_CONFIGS = ("config.json", "generation_config.json", TOKENIZER_CONFIG)


def refuse_code(folder: Path) -> None:
    """Raise `ModelLoadError`, naming file and key, when a configuration in `folder` asks for code that comes with the
    model.

    A tokenizer's `auto_map` is let be where there is a tokenizer.json: that is read by itself, and no class is needed.
    """
    for name in _CONFIGS:
        path = folder / name
        if not path.is_file():
            continue
        for key in code_keys(read_object(path)):
            if name == TOKENIZER_CONFIG and key == "auto_map" and (folder / "tokenizer.json").is_file():
                continue
            raise ModelLoadError(
                f"{path}: {key} asks for code that comes with the model, and alcove runs none: take a model whose "
                "family transformers has itself"
            )


def code_keys(content: Any, path: str = "") -> Iterator[str]:
    """The keys in a configuration, however deep, that ask for code; as paths like `text_config.auto_map`."""
    if isinstance(content, dict):
        for name, value in content.items():
            here = f"{path}.{name}" if path else name
            code = value and (name in CODE_KEYS or name.endswith(INTERNAL))
            if code or (name in KERNEL_KEYS and "/" in str(value)):
                yield here
            else:
                yield from code_keys(value, here)
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from code_keys(value, f"{path}[{number}]")
