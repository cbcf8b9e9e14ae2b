"""A model's `generation` and `engine_options` -> a line for each option that its engine would not take.

Called by `cli/model_check.py`. What an engine takes is `engines/offered.py`'s to say; nothing is loaded.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from alcove.config.problems import nearest
from alcove.engines.base import Capabilities
from alcove.engines.offered import ENGINE_OPTIONS, capabilities
from alcove.errors import AlcoveError, ConfigurationError
from alcove.pipeline.options import impossible, unsupported
from alcove.pipeline.tokenizers.decoding import read_decoding
from alcove.pipeline.tokenizers.files import read_files
from alcove.store.folder import Kind, ModelFolder
from alcove.store.generation import LIMITS_AND_IDS, generation_from


def wrong_generation(options: Mapping[str, Any], engine: str, kind: Kind, label: str) -> Iterator[str]:
    """`label` is what the lines begin with: the file, and the table in it."""
    offered = capabilities(engine, kind)
    for name, value in options.items():
        yield from _wrong_option(name, value, offered, kind, label)


def wrong_engine_options(
    options: Mapping[str, Any], engine: str, folder: ModelFolder | None, label: str
) -> Iterator[str]:
    """A tokenizer's options are looked at where there is a `folder` with one."""
    known = ENGINE_OPTIONS[engine]
    for key, value in options.items():
        if key not in known:
            yield f"{label}.{key}: the engine {engine} takes {', '.join(known)}{nearest(key, known)}"
        elif (names := known[key]) is not None and isinstance(value, Mapping):
            for name in value:
                if name not in names:
                    takes = f"alcove takes {', '.join(sorted(names))}"
                    yield f"{label}.{key}.{name}: unknown; {takes}{nearest(name, names)}"
    tokenizer, decode = options.get("tokenizer") or {}, options.get("decode") or {}
    for name, table in (("tokenizer", tokenizer), ("decode", decode)):
        if not isinstance(table, Mapping):
            yield f"{label}.{name}: must be a table of options, not {table!r}"
            return
    try:
        if folder is not None:
            read_files(folder.path, tokenizer)
        names = known.get("decode") or frozenset()
        read_decoding({name: value for name, value in decode.items() if name in names}, {})
    except AlcoveError as error:
        yield f"{label}: {error}"


def _wrong_option(name: str, value: Any, offered: Capabilities, kind: Kind, label: str) -> Iterator[str]:
    try:
        options = generation_from({name: value}, kind, source=label).options
    except ConfigurationError as error:
        yield str(error)
        return
    if unsupported(options, offered):
        known = {*offered.options, *LIMITS_AND_IDS, "do_sample"}
        yield f"{label}.{name}: is not supported by the engine {offered.engine}{nearest(name, known)}"
    if impossible(options, offered):
        yield f"{label}.{name}: the engine {offered.engine} takes {offered.options[name]}; not {value!r}"
