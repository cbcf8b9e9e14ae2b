"""A model's own chat template: Jinja, rendered as transformers' `apply_chat_template` renders it.

In go messages, out comes the prompt's text, special tokens included. A template is vetted when it is loaded
(`template_vetting.py`) and rendered in a sandbox, on a budget (`template_sandbox.py`). Called by `prompter.py`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from jinja2 import TemplateSyntaxError, meta

from alcove.errors import InvalidRequest, ModelLoadError
from alcove.jobs import Message
from alcove.pipeline.prompts.template_budget import budget_for, longest_prompt, spending
from alcove.pipeline.prompts.template_sandbox import template_environment
from alcove.pipeline.prompts.template_vetting import vet

RESERVED = frozenset(
    {
        *("messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "conversation"),
        *("chat_template", "tokenize", "padding", "truncation", "max_length", "tokenizer_kwargs", "processor_kwargs"),
        *("return_tensors", "return_dict", "return_assistant_tokens_mask"),
    }
)
"""Keywords of `apply_chat_template`, which mean something else than a variable of the template."""
_OPEN_END = "ALCOVE_GOES_ON_HERE "
"""Stands behind a message that is to be continued, while the template works on it."""
_MAX_CHARACTERS = 4096
_MAX_NUMBER = 1_000_000
_MAX_WORDS = 500
"""Most characters that a template may say of what it refuses."""


class ChatTemplate:
    """A compiled template."""

    def __init__(self, source: str, tokens: Mapping[str, str], *, origin: str) -> None:
        """`tokens` are the named special tokens (`bos_token`...); `origin` names the template's file or setting in
        errors. Raises `ModelLoadError` when it is not Jinja, or is refused. Blocks while it is tried out."""
        vet(source, tokens, origin=origin)
        environment = template_environment()
        try:
            self._template = environment.from_string(source)
        except TemplateSyntaxError as error:
            raise ModelLoadError(f"{origin}: not a Jinja template: {error.message} (line {error.lineno}).") from error
        self._tokens = dict(tokens)
        self.variables = frozenset(meta.find_undeclared_variables(environment.parse(source))) - RESERVED - {*tokens}
        """Names that the template looks up and a request may set."""
        # OpenAI's newer name of the system role, which few templates know.
        self._roles = {} if "developer" in source else {"developer": "system"}

    def render(
        self,
        messages: Sequence[Message],
        *,
        variables: Mapping[str, Any] = MappingProxyType({}),
        add_generation_prompt: bool = True,
        continue_final: bool = False,
    ) -> str:
        """The prompt: ready for the assistant's turn, or, with `continue_final`, cut where the last message ends.

        Raises `InvalidRequest` with the template's own words when it refuses the messages, for `variables` that it
        does not know, and when it does or writes more than a chat of this length gives reason to.
        """
        self._check(variables)
        turns = [{"role": self._roles.get(turn.role, turn.role), "content": turn.content} for turn in messages]
        for turn, message in zip(turns, messages, strict=True):
            if message.name:
                turn["name"] = message.name
        if continue_final:
            turns[-1]["content"] += _OPEN_END
        characters = sum(len(turn.content) + len(turn.name or "") for turn in messages)
        try:
            with spending(budget_for(len(messages), characters)):
                text = self._template.render(
                    messages=turns,
                    tools=None,
                    documents=None,
                    add_generation_prompt=add_generation_prompt,
                    **self._tokens,
                    **variables,
                )
        except Exception as error:  # a template may break on messages in any way
            raise _refusal(" ".join(str(error).split())[:_MAX_WORDS]) from error
        if len(text) > longest_prompt(len(messages), characters):
            raise _refusal(f"it makes {len(text)} characters of {characters}")
        return _cut(text, messages[-1].content) if continue_final else text

    def _check(self, variables: Mapping[str, Any]) -> None:
        for name, value in variables.items():
            param = f"chat_template_kwargs.{name[:100]}"
            if name not in self.variables:
                known = ", ".join(sorted(self.variables)) or "none"
                raise InvalidRequest(
                    f"{param!r}: a request cannot set this in the model's chat template; it can set: {known}.",
                    param=param,
                )
            if not _is_small(value):
                raise InvalidRequest(
                    f"'{param}': should be at most {_MAX_CHARACTERS} characters of JSON, numbers up to {_MAX_NUMBER}.",
                    param=param,
                    code="invalid_value",
                )


def _refusal(reason: str) -> InvalidRequest:
    return InvalidRequest(f"The model's chat template does not take these messages: {reason}.", param="messages")


def _cut(text: str, content: str) -> str:
    """The text up to the mark; templates that trim a message trim the blank at the mark's end, and would have trimmed
    the message's own."""
    at = text.rfind(_OPEN_END.strip())
    if at < 0 or content.strip() not in text:
        raise InvalidRequest(
            "'continue_final_message': the model's chat template leaves out or changes the last message.",
            param="continue_final_message",
        )
    return text[:at] if text[at:].startswith(_OPEN_END) else text[:at].rstrip()


def _is_small(value: Any) -> bool:
    """Whether a value is harmless to a template: a sandbox limits neither time nor memory."""
    return len(json.dumps(value)) <= _MAX_CHARACTERS and all(abs(number) <= _MAX_NUMBER for number in _numbers(value))


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _numbers(inner)
