"""What a template's source shows before it runs: what no chat needs, and what can do no harm.

In goes the parsed template; `fault` names the first bad construct and its line, `is_harmless` says that no trial is
needed. Called by `template_vetting.py`.
"""

from collections.abc import Iterator
from math import prod
from typing import Any

from jinja2 import nodes

from alcove.pipeline.prompts.template_budget import MAX_RANGE, MAX_WIDTH, WIDENING

MAX_TURNS = 100_000
"""Most turns of nested loops over constant ranges."""
_CONDITIONS = (nodes.If, nodes.CondExpr, nodes.For, nodes.And, nodes.Or)


def fault(template: nodes.Template) -> str | None:
    """Why the template is refused, or None."""
    for node in template.find_all(nodes.Node):
        if (reason := _reason(node)) is not None:
            return f"line {node.lineno}: {reason}"
    if (turns := _turns(template)) > MAX_TURNS:
        return f"its loops over constants make {turns} turns"
    if (name := _endless_macro(template)) is not None:
        return f"the macro {name} calls itself without a condition"
    return None


def _reason(node: nodes.Node) -> str | None:
    match node:
        case nodes.Include() | nodes.Import() | nodes.FromImport() | nodes.Extends():
            return "it asks for another template"
        case nodes.For(recursive=True):
            return "a recursive loop"
        case nodes.Pow():
            return "a power (**)"
        case nodes.Mul(left=left, right=right):
            return _repetition(left, right) or _repetition(right, left)
        case nodes.Call() if _range_length(node) > MAX_RANGE:
            return f"a range of more than {MAX_RANGE}"
        case nodes.Filter(name=name, args=args, kwargs=kwargs) if name in WIDENING and _is_wide(args, kwargs):
            return f"the filter {name} with a width of more than {MAX_WIDTH}"
        case nodes.Call(node=nodes.Getattr(attr=name), args=args, kwargs=kwargs) if name in WIDENING:
            return f"{name} with a width of more than {MAX_WIDTH}" if _is_wide(args, kwargs) else None
    return None


def _repetition(one: nodes.Expr, other: nodes.Expr) -> str | None:
    """A text that is repeated often, or a factor that only a repetition of a text could want."""
    if not isinstance(one, nodes.Const):
        return None
    if isinstance(one.value, str) and not (isinstance(other, nodes.Const) and _number(other) <= MAX_WIDTH):
        return "a text that is repeated (*)"
    return f"a factor of more than {MAX_WIDTH} (*)" if _number(one) > MAX_WIDTH else None


def _number(node: nodes.Node) -> float:
    value = node.value if isinstance(node, nodes.Const) else 0
    return abs(value) if isinstance(value, int | float) else 0


def _is_wide(args: list[nodes.Expr], kwargs: list[Any]) -> bool:
    return any(_number(value) > MAX_WIDTH for value in (*args, *(keyword.value for keyword in kwargs)))


def _range_length(node: nodes.Node) -> int:
    """How many numbers a `range` of constants has; 0 for anything else."""
    match node:
        case nodes.Call(node=nodes.Name(name="range"), args=args) if args:
            numbers = [value.value for value in args if isinstance(value, nodes.Const) and isinstance(value.value, int)]
            if len(numbers) == len(args) <= 3 and numbers[2:] != [0]:
                made = range(*numbers)
                return max((made.stop - made.start) // made.step, 0)
    return 0


def _turns(node: nodes.Node, around: tuple[int, ...] = ()) -> int:
    """Turns of the busiest nest of loops over constant ranges."""
    if isinstance(node, nodes.For):
        around = (*around, max(_range_length(node.iter), 1))
    return max((prod(around), *(_turns(child, around) for child in node.iter_child_nodes())))


def _endless_macro(template: nodes.Template) -> str | None:
    """A macro that comes back to itself by calls that stand under no condition."""
    calls = {macro.name: set(_certain_calls(macro)) for macro in template.find_all(nodes.Macro)}
    for start in calls:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            for name in calls.get(ahead.pop(), set()) - seen:
                if name == start:
                    return start
                seen.add(name)
                ahead.append(name)
    return None


def _certain_calls(node: nodes.Node) -> Iterator[str]:
    for child in node.iter_child_nodes():
        if isinstance(child, _CONDITIONS):
            continue
        if isinstance(child, nodes.Call) and isinstance(child.node, nodes.Name):
            yield child.node.name
        yield from _certain_calls(child)


_PLAIN = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name, nodes.Getattr, nodes.If),
    *(nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Concat),
    nodes.Keyword,
)
"""Nodes that read, compare and write, the cost of which a rendering's budget knows to the letter."""
_PLAIN_FILTERS = frozenset({"trim", "upper", "lower", "default", "d", "length", "string"})
_PLAIN_TESTS = frozenset({"defined", "undefined", "none", "string", "true", "false", "equalto", "eq", "ne", "mapping"})


def is_harmless(node: nodes.Node, *, looping: bool = False) -> bool:
    """Whether nothing but what a budget counts exactly stands in a template, and no loop within a loop, so that its
    budget contains it and a chat costs what it is long."""
    match node:
        case nodes.For():
            fine, looping = not looping, True
        case nodes.Call(node=nodes.Name(name="raise_exception")) | nodes.Assign(target=nodes.Name()):
            fine = True
        case nodes.Filter(name=name):
            fine = name in _PLAIN_FILTERS
        case nodes.Test(name=name):
            fine = name in _PLAIN_TESTS
        case nodes.Getitem(arg=argument):
            fine = isinstance(argument, nodes.Const)
        case _:
            fine = isinstance(node, _PLAIN)
    return fine and all(is_harmless(child, looping=looping) for child in node.iter_child_nodes())
