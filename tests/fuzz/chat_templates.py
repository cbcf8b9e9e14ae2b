"""Feeds the vetting of chat templates what atheris makes of its coverage: `make fuzz`, or
`python -m tests.fuzz.chat_templates -max_total_time=180 CORPUS`. What reading takes for harmless has to be so.
"""

import sys

import atheris

with atheris.instrument_imports(include=["alcove.pipeline.prompts"]):
    from alcove.pipeline.prompts.template_rules import fault, is_harmless
    from alcove.pipeline.prompts.template_sandbox import template_environment
    from alcove.pipeline.prompts.template_trial import find_fault
    from alcove.pipeline.prompts.template_vetting import MAX_UNTRIED

from jinja2 import TemplateSyntaxError

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def one(data: bytes) -> None:
    """The source of a template."""
    source = data.decode("utf-8", "replace")
    try:
        template = template_environment().parse(source)
        if fault(template) is not None or len(source) > MAX_UNTRIED or not is_harmless(template):
            return
    except (TemplateSyntaxError, RecursionError):
        return
    found = find_fault(source, TOKENS)
    assert found is None, f"taken for harmless: {found}"


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
