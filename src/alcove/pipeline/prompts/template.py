"""A model's own chat template: Jinja, run in a sandbox, exactly as transformers' `apply_chat_template` runs it.

In go messages, out comes the prompt's text, special tokens included. Called by `prompter.py`.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from alcove.errors import InvalidRequest, ModelLoadError
from alcove.jobs import Message


class ChatTemplate:
    """A compiled template."""

    def __init__(self, source: str, tokens: Mapping[str, str], *, origin: str) -> None:
        """`tokens` are the named special tokens (`bos_token`...); `origin` names the template's file or setting in
        errors. Raises `ModelLoadError` when it is not Jinja."""
        try:
            self._template = _environment().from_string(source)
        except TemplateSyntaxError as error:
            raise ModelLoadError(f"{origin}: not a Jinja template: {error.message} (line {error.lineno}).") from error
        self._tokens = dict(tokens)
        # OpenAI's newer name of the system role, which few templates know.
        self._roles = {} if "developer" in source else {"developer": "system"}

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt, ready for the assistant's turn. Raises `InvalidRequest` with the template's own words when it
        refuses the messages."""
        turns = [{"role": self._roles.get(turn.role, turn.role), "content": turn.content} for turn in messages]
        for turn, message in zip(turns, messages, strict=True):
            if message.name:
                turn["name"] = message.name
        try:
            return self._template.render(
                messages=turns, tools=None, documents=None, add_generation_prompt=True, **self._tokens
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise InvalidRequest(
                f"The model's chat template does not take these messages: {error}.", param="messages"
            ) from error


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _now
    return environment


class _Generation(Extension):
    """`{% generation %}` marks an assistant's words for training; here its body is just text."""

    tags = {"generation"}  # noqa: RUF012 Jinja's own declaration

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own filter escapes for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)
