"""Jinja for templates of unknown hands: the environment of transformers' `apply_chat_template`, on a budget.

A sandbox keeps a template from Python's internals, but limits neither time nor memory: so loops, calls and text are
counted while it runs (`template_budget.py`). Used by `template.py`, and by `template_trial.py` in a process of its own.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import wraps
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from alcove.pipeline.prompts.template_budget import (
    MAX_RANGE,
    STRUCTURAL,
    Spent,
    check_format,
    check_function,
    size,
    spend,
    spend_made,
    spend_text,
)


def template_environment() -> ImmutableSandboxedEnvironment:
    """A new environment; what it compiles must be rendered within `spending`."""
    environment = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols], finalize=_told)
    environment.filters["tojson"] = _to_json
    environment.filters = {
        name: _counted(name, function) for name, function in environment.filters.items() if name not in _FOR_PAGES
    }
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _now
    environment.globals["range"] = _range
    del environment.globals["lipsum"]  # makes as much text as it is asked for
    return environment


_FOR_PAGES = frozenset({"pprint", "striptags", "urlize", "wordwrap", "xmlattr"})
"""Jinja's filters that no chat has a use for, and that make much out of little."""


class _CountingCode(CodeGenerator):
    """Counts where Jinja's own code has no hook: loops and `~`."""

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        text = sum(len(data.data) for inner in node.body for data in inner.find_all(nodes.TemplateData))
        node.iter = self._call("counted", [node.iter, nodes.Const(text)])
        super().visit_For(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.visit(self._call("joined", node.nodes), frame)

    def _call(self, name: str, arguments: list[Any]) -> nodes.Call:
        call = nodes.Call(nodes.EnvironmentAttribute(name), arguments, [], None, None)
        call.set_environment(self.environment)
        return call


class _Sandbox(ImmutableSandboxedEnvironment):
    code_generator_class = _CountingCode
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def counted(self, values: Iterable[Any], text: int) -> Iterator[Any]:
        """A loop's values, a step each; `text` is the length of what stands in its body."""
        for value in values:
            spend(1, text)
            yield value

    def joined(self, *parts: Any) -> str:
        """What `~` makes."""
        for part in parts:
            spend_text(part)
        return "".join(map(str, parts))

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Every call in a template."""
        bound = getattr(function, "__wrapped__", function)  # Jinja puts its own around a text's `format`
        name, owner = getattr(bound, "__name__", ""), getattr(bound, "__self__", None)
        if isinstance(owner, str | bytes | int):
            args = tuple(_listed(value) for value in args)
            check_function(name, owner, [*args, *kwargs.values()])
        made = super().call(context, function, *args, **kwargs)
        if isinstance(made, bytes):
            raise Spent("it works on bytes")
        spend_made(made)
        return made

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Every `+`, `*`, `**` and `%` in a template."""
        if operator == "**":
            raise Spent("it has a power (**)")
        if operator == "%" and isinstance(left, str):
            check_format(left, [right])
        if operator == "*":
            spend(0, max(size(left) * _times(right), size(right) * _times(left)))
        made = super().call_binop(context, operator, left, right)
        spend_made(made)
        return made


def _times(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _told(value: Any) -> str:
    """What `{{ }}` writes."""
    spend_text(value)
    return str(value)


def _counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that costs a step, what it reads and what it makes."""
    at = 1 if hasattr(function, "jinja_pass_arg") else 0  # Jinja's context, evaluation context or environment

    @wraps(function)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        value, given = _listed(args[at]), args[at + 1 :]
        check_function(name, value, [*given, *kwargs.values()])
        if name not in STRUCTURAL:
            spend_text(value)
        spend(1, size(value))
        made = function(*args[:at], value, *given, **kwargs)
        spend_made(made)
        return made

    return filtered


def _listed(value: Any) -> Any:
    """What `map`, `select` and the like have left for later, done now: a list has a length."""
    if not isinstance(value, Iterator):
        return value
    entries = []
    for entry in value:
        spend(1, 1)
        entries.append(entry)
    return entries


def _range(*numbers: int) -> range:
    made = range(*numbers)
    if len(made) > MAX_RANGE:
        raise Spent(f"it counts further than {MAX_RANGE} (range)")
    return made


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
