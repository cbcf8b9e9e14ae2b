"""How a model's prompts are made: its chat template, a profile, or plain text.

In go messages or a prompt's text, out comes `Prepared`. Made once a model by `pipeline/model.py`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from alcove.config.settings import ModelSettings
from alcove.errors import ConfigurationError, InvalidRequest, ModelLoadError
from alcove.jobs import Message
from alcove.pipeline.prompts import languagemodels
from alcove.pipeline.prompts.prepared import Prepared
from alcove.pipeline.prompts.template import ChatTemplate
from alcove.pipeline.prompts.transcript import plain
from alcove.pipeline.tokenizer import Tokenizer
from alcove.pipeline.tokenizers.files import TokenizerFiles
from alcove.store.folder import ModelFolder


class Prompter:
    """One model's prompts."""

    def __init__(self, folder: ModelFolder, settings: ModelSettings, tokenizer: Tokenizer) -> None:
        """Raises `ConfigurationError` for a template of the settings that cannot be used, `ModelLoadError` for one of
        the folder."""
        self._profile = settings.prompt.profile
        self._format = settings.prompt.format or _INSTRUCTION
        self._template = None if self._profile else _template(folder, settings, tokenizer.files)

    def chat(self, messages: Sequence[Message]) -> Prepared:
        """A chat, ready for the assistant's answer. Raises `InvalidRequest`."""
        if not messages:
            raise InvalidRequest("A chat needs at least one message.", param="messages")
        if self._template:
            return Prepared(text=self._template.render(messages), special=False)
        return self._formatted(languagemodels.chat(messages) if self._profile else Prepared(text=plain(messages)))

    def completion(self, text: str) -> Prepared:
        """A prompt of the completions endpoint."""
        return self._formatted(languagemodels.completion(text) if self._profile else Prepared(text=text))

    def _formatted(self, prepared: Prepared) -> Prepared:
        return replace(prepared, text=self._format.replace(_INSTRUCTION, prepared.text))


_INSTRUCTION = "{instruction}"


def _template(folder: ModelFolder, settings: ModelSettings, files: TokenizerFiles) -> ChatTemplate | None:
    tokens = {name: token.content for name, token in files.special.items()}
    wanted = settings.prompt.chat_template
    if wanted is not None:
        key = f"model {settings.name}: prompt.chat_template"
        try:
            return ChatTemplate(_text_of(wanted, folder.path), tokens, origin=key)
        except (ModelLoadError, OSError) as error:
            raise ConfigurationError(f"{key}: cannot be used: {error}") from error
    if path := files.find("chat_template.jinja"):
        return ChatTemplate(path.read_text(encoding="utf-8"), tokens, origin=str(path))
    own = files.config.get("chat_template")
    if isinstance(own, list):
        named = {entry.get("name"): entry.get("template") for entry in own if isinstance(entry, dict)}
        own = named.get("default")
    origin = str(files.path / "tokenizer_config.json")
    return ChatTemplate(own, tokens, origin=f"{origin}: chat_template") if isinstance(own, str) else None


def _text_of(template: str, folder: Path) -> str:
    """The template itself, or what the file of this name holds, in the working directory or beside the model: a
    template has braces, a path has none."""
    if "{" in template or "\n" in template:
        return template
    path = Path(template).expanduser()
    return (path if path.exists() else folder / path).read_text(encoding="utf-8")
