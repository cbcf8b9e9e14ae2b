"""How a model's prompts are made: its chat template, a profile, or plain text.

In go messages or a prompt's text, out comes `Prepared`. Made once a model by `pipeline/model.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from alcove.config.files import is_template
from alcove.config.settings import ModelSettings
from alcove.errors import ConfigurationError, InvalidRequest, ModelLoadError
from alcove.jobs import Message
from alcove.pipeline.prompts import languagemodels
from alcove.pipeline.prompts.prepared import Prepared
from alcove.pipeline.prompts.template import ChatTemplate
from alcove.pipeline.prompts.transcript import history, plain
from alcove.pipeline.tokenizer import Tokenizer
from alcove.pipeline.tokenizers.files import TokenizerFiles
from alcove.store.folder import ModelFolder


class Prompter:
    """One model's prompts."""

    def __init__(self, folder: ModelFolder, settings: ModelSettings, tokenizer: Tokenizer) -> None:
        """Raises `ConfigurationError` for a template of the settings that cannot be used, `ModelLoadError` for one of
        the folder."""
        self._causal = folder.kind == "causal"
        self._profile = settings.prompt.profile
        self._system = settings.prompt.system
        self._format = settings.prompt.format or _INSTRUCTION
        self._template = None if self._profile else _template(folder, settings, tokenizer.files)

    def chat(
        self,
        messages: Sequence[Message],
        *,
        variables: Mapping[str, Any] = MappingProxyType({}),
        add_generation_prompt: bool = True,
        continue_final: bool = False,
    ) -> Prepared:
        """A chat, ready for the assistant's answer. Raises `InvalidRequest`.

        With `continue_final` the answer goes on from the last message: behind a causal model's prompt; for an
        encoder-decoder the message is what the decoder begins with, and the chat before it the source.
        """
        if not messages:
            raise InvalidRequest("A chat needs at least one message.", param="messages")
        if self._system is not None and not any(message.role in ("system", "developer") for message in messages):
            messages = (Message(role="system", content=self._system), *messages)
        if variables and not self._template:
            raise InvalidRequest(
                "'chat_template_kwargs': this model's chats go through no template.", param="chat_template_kwargs"
            )
        if continue_final and not (self._template and self._causal):
            return self._continued(messages, variables)
        if self._template:
            text = self._template.render(
                messages,
                variables=variables,
                add_generation_prompt=add_generation_prompt,
                continue_final=continue_final,
            )
            return Prepared(text=text, special=False)
        if not self._profile:
            return self._formatted(Prepared(text=plain(messages, open_end=add_generation_prompt)))
        if not add_generation_prompt:
            raise InvalidRequest(
                "'add_generation_prompt': the prompt profile of this model always ends where the assistant begins.",
                param="add_generation_prompt",
            )
        return self._formatted(languagemodels.chat(messages))

    def _continued(self, messages: Sequence[Message], variables: Mapping[str, Any]) -> Prepared:
        """A chat that ends in the middle of the assistant's answer, where no template can write it so."""
        *before, last = messages
        if last.role != "assistant":
            raise InvalidRequest(
                "'continue_final_message': the last message should be the assistant's.", param="continue_final_message"
            )
        if self._causal and not self._profile:
            return self._formatted(Prepared(text=f"{history(before)} {last.content}"))
        prepared = self.chat(before, variables=variables)
        prefix = last.content if prepared.prefix is None else f"{prepared.prefix} {last.content}"
        return replace(prepared, prefix=prefix or None)

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
            return ChatTemplate(text_of(wanted, folder.path), tokens, origin=key)
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


def text_of(template: str, folder: Path | None) -> str:
    """What `prompt.chat_template` says: the template itself, or what the file of this name holds, in the working
    directory or beside the model. Raises `OSError` and `UnicodeDecodeError`."""
    if is_template(template):
        return template
    path = Path(template).expanduser()
    return (path if path.exists() or folder is None else folder / path).read_text(encoding="utf-8")
