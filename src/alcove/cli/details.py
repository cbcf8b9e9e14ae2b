"""`alcove show NAME`: everything that is known of a model without loading it."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from alcove.cli.listing import engine_of, plain, size_of
from alcove.cli.tables import show
from alcove.config.load import home
from alcove.config.problems import nearest
from alcove.config.sources import BUILTIN
from alcove.errors import ConfigurationError
from alcove.pipeline.tokenizers.files import TokenizerFiles, read_files
from alcove.store import manifest
from alcove.store.folder import ModelFolder
from alcove.store.generation import FILE as GENERATION_FILE
from alcove.store.generation import own_wishes
from alcove.store.jsonfile import read_object
from alcove.store.listing import Listed, models
from alcove.store.recognise import recognise

_TOKENIZERS = (
    "tokenizer.json",
    "source.spm",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "vocab.json",
)
"""Files that a tokenizer is read from, the first that is there."""


def show_model(name: str, *, as_json: bool) -> None:
    """Print it. Raises `ConfigurationError` when there is no model of this name."""
    listed = models(home(os.environ))
    found = [model for model in listed if name in (model.name, model.name.removeprefix(BUILTIN))]
    if not found:
        known = [model.name for model in listed]
        raise ConfigurationError(f"{name}: no such model here; `alcove list` shows what is{nearest(name, known)}")
    facts = [_facts(model) for model in found]
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for number, (model, fact) in enumerate(zip(found, facts, strict=True)):
        if number:
            typer.echo()
        show(("Model", model.name), list(_rows(model, fact)))
        typer.echo()
        show(("File", "Size"), [(name, size_of(size)) for name, size in fact["files"].items()])


def _facts(model: Listed) -> dict[str, Any]:
    """Everything, as JSON has it."""
    facts = plain(model) | {"files": _files(model)}
    if (made := manifest.read(model.folder)) is not None:
        facts |= {"created": made.created, "alcove": made.alcove}
    if model.problem is None:
        folder = recognise(model.folder)
        tokenizer = read_files(model.folder, {})
        facts |= {
            "family": folder.model_type,
            "prompt_tokens": folder.source_limit,
            "output_tokens": folder.target_limit if folder.kind == "seq2seq" else folder.source_limit,
            "generation": _generation(folder),
            "tokenizer": _tokenizer(tokenizer),
            "chat_template": _chat_template(tokenizer),
        }
    return facts


def _files(model: Listed) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(model.folder.iterdir()) if path.is_file()}


def _generation(folder: ModelFolder) -> dict[str, Any]:
    path = folder.path / GENERATION_FILE
    return own_wishes(read_object(path) if path.exists() else folder.config)


def _tokenizer(files: TokenizerFiles) -> str | None:
    path = files.find(*_TOKENIZERS)
    named = files.config.get("tokenizer_class")
    if path is None:
        return None
    return f"{path.name} ({named})" if named else path.name


def _chat_template(files: TokenizerFiles) -> str | None:
    """The file that has it."""
    if files.find("chat_template.jinja"):
        return "chat_template.jinja"
    return "tokenizer_config.json" if files.config.get("chat_template") else None


def _rows(model: Listed, known: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Kind", model.kind or "-"
    if model.problem is not None:
        yield "Cannot be served", model.problem
    yield "Engine", engine_of(model)
    yield "Folder", str(model.folder)
    yield "Size", size_of(model.size)
    yield "Memory (estimate)", size_of(model.memory)
    yield "Source", model.source or "-"
    yield "Revision", model.revision or "-"
    yield "Commit", model.commit or "-"
    if "created" in known:
        yield "Written", f"{known['created']} by alcove {known['alcove']}"
    if "family" in known:
        yield "Family", known["family"] or "-"
        yield "Longest prompt", _limit(known["prompt_tokens"])
        yield "Longest answer", _limit(known["output_tokens"])
        yield (
            "Generation",
            ", ".join(f"{key} = {json.dumps(value)}" for key, value in known["generation"].items()) or "-",
        )
        yield "Tokenizer", known["tokenizer"] or "-"
        yield "Chat template", known["chat_template"] or "none: chats become plain text"


def _limit(tokens: int | None) -> str:
    return f"{tokens:,} tokens" if tokens is not None else "the model has no bound; see max_prompt_tokens"
