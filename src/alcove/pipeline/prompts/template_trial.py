"""A small process that tries a template out: `python -m alcove.pipeline.prompts.template_trial`.

In comes JSON with the template's `source` and its special `tokens`, out goes JSON with a `fault` or null. The process
limits its own time and memory; whoever starts it (`template_vetting.py`) takes its death for a fault.
"""

import json
import resource
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import TemplateSyntaxError, meta
from jinja2.exceptions import SecurityError

from alcove.pipeline.prompts.template_budget import Spent, budget_for, longest_prompt, spending
from alcove.pipeline.prompts.template_sandbox import template_environment

CPU_SECONDS = 2
MEMORY_BYTES = 256 * 1024 * 1024
Conversation = list[dict[str, Any]]


def find_fault(source: str, tokens: Mapping[str, str]) -> str | None:
    """What goes wrong with a template beyond refusing messages, or None."""
    environment = template_environment()
    template = environment.from_string(source)
    free = meta.find_undeclared_variables(environment.parse(source)) - {"messages", "tools", "documents", *tokens}
    for messages in _conversations():
        for value in (None, True, 1_000_000):
            given: dict[str, Any] = {} if value is None else dict.fromkeys(free, value)
            given |= {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": value is None}
            characters = sum(len(str(message["content"])) for message in messages)
            try:
                with spending(budget_for(len(messages), characters)):
                    text = template.render(**tokens, **given)
            except Spent as error:
                return str(error.message)
            except SecurityError as error:
                return f"it reaches for what a template may not touch: {error.message}"
            except (MemoryError, RecursionError) as error:
                return f"it takes too much memory ({type(error).__name__})"
            except Exception:  # noqa: BLE001, S112 a template may refuse messages, and break on them in any way
                continue
            if len(text) > longest_prompt(len(messages), characters):
                return f"it makes {len(text)} characters of a chat of {characters}"
    return None


def _conversations() -> Iterator[Conversation]:
    """A question; a system text, in parts; a talk; a long talk, in which what doubles shows; a long text; letters."""
    ask, answer = {"role": "user", "content": "How are you?"}, {"role": "assistant", "content": "Well, thank you."}
    system = {"role": "system", "content": "Be kind."}
    yield [ask]
    yield [system, ask]
    yield [system, ask, {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nWell."}, ask]
    yield [ask, answer] * 256 + [ask]
    yield [system, {"role": "user", "content": "word " * 20_000}]
    yield [{"role": "user", "content": "\N{SNAKE} {{ 7 * 7 }} {% raw %} <|im_end|>\n\0", "name": "Kim"}]


def main() -> None:
    """Read a template, try it, and say what was found."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    asked = json.load(sys.stdin)
    try:
        fault = find_fault(asked["source"], asked["tokens"])
    except TemplateSyntaxError as error:
        fault = f"{error.message} (line {error.lineno})"
    except Exception as error:  # noqa: BLE001 whatever it is, the template has provoked it
        fault = f"it cannot be compiled ({type(error).__name__})"
    json.dump({"fault": fault}, sys.stdout)


if __name__ == "__main__":
    main()
