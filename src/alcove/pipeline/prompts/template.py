"""A model's own chat template: Jinja, run in a sandbox, exactly as transformers' `apply_chat_template` runs it.

In go messages, out comes the prompt's text, special tokens included. Called by `prompter.py`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from alcove.errors import InvalidRequest, ModelLoadError
from alcove.jobs import Message

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


class ChatTemplate:
    """A compiled template."""

    def __init__(self, source: str, tokens: Mapping[str, str], *, origin: str) -> None:
        """`tokens` are the named special tokens (`bos_token`...); `origin` names the template's file or setting in
        errors. Raises `ModelLoadError` when it is not Jinja."""
        try:
            environment = _environment()
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

        Raises `InvalidRequest` with the template's own words when it refuses the messages, and for `variables` that
        it does not know.
        """
        self._check(variables)
        turns = [{"role": self._roles.get(turn.role, turn.role), "content": turn.content} for turn in messages]
        for turn, message in zip(turns, messages, strict=True):
            if message.name:
                turn["name"] = message.name
        if continue_final:
            turns[-1]["content"] += _OPEN_END
        try:
            text = self._template.render(
                messages=turns,
                tools=None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self._tokens,
                **variables,
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise InvalidRequest(
                f"The model's chat template does not take these messages: {error}.", param="messages"
            ) from error
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
