"""Whether a chat template of unknown hands may be rendered in this process.

In goes its source, out comes nothing, or a `ModelLoadError` of one line. Read first, then, unless reading shows that it
is harmless, rendered in a process that may be killed; each template once. Called by `template.py`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from jinja2 import TemplateSyntaxError

import alcove
from alcove.errors import ModelLoadError
from alcove.pipeline.prompts.template_rules import fault, is_harmless
from alcove.pipeline.prompts.template_sandbox import template_environment

MAX_BYTES = 64 * 1024
"""Longest template; the longest known have 20 KiB."""
MAX_UNTRIED = 1_000
"""Longest template, in characters, that reading alone may find harmless: each message may be given all of its text."""
TRIAL_TIMEOUT_S = 15
"""On a busy machine the trial's two seconds of processor time may take long."""
_TRIAL = "alcove.pipeline.prompts.template_trial"


def vet(source: str, tokens: Mapping[str, str], *, origin: str) -> None:
    """Raise `ModelLoadError`, which begins with `origin`, for a template that is not Jinja, or may not be rendered."""
    if (size := len(source.encode("utf-8", "surrogatepass"))) > MAX_BYTES:
        reason: str | None = f"it has {size} bytes, and a template at most {MAX_BYTES}"
    else:
        try:
            reason = _verdict(source, tuple(sorted(tokens.items())))
        except TemplateSyntaxError as error:
            raise ModelLoadError(f"{origin}: not a Jinja template: {error.message} (line {error.lineno}).") from error
    if reason is not None:
        raise ModelLoadError(
            f"{origin}: this chat template is refused: {reason}. Set prompt.chat_template to one that you trust."
        )


@lru_cache(maxsize=64)
def _verdict(source: str, tokens: tuple[tuple[str, str], ...]) -> str | None:
    """Why a template is refused, or None. Raises `TemplateSyntaxError`."""
    try:
        template = template_environment().parse(source)
        reason = fault(template)
        harmless = reason is None and len(source) <= MAX_UNTRIED and is_harmless(template)
    except RecursionError:
        return "it is nested too deeply"
    return None if harmless else reason or _tried(source, dict(tokens))


def _tried(source: str, tokens: dict[str, str]) -> str | None:
    """What the trial finds; that it does not end in time, or dies, is a finding."""
    # Neither keys nor settings go along, and nothing is imported from the working directory.
    environment = {"PYTHONPATH": str(Path(alcove.__file__).parent.parent), "PATH": os.defpath}
    try:
        done = subprocess.run(  # noqa: S603 the interpreter that runs this
            [sys.executable, "-P", "-s", "-m", _TRIAL],
            input=json.dumps({"source": source, "tokens": tokens}).encode(),
            capture_output=True,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the server
            timeout=TRIAL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it does not end within {TRIAL_TIMEOUT_S} s"
    if done.returncode < 0:
        return f"it does not end in the time and memory of a trial (signal {-done.returncode})"
    if done.returncode:
        raise ModelLoadError(f"The trial of a chat template broke: {done.stderr.decode(errors='replace')[-500:]}")
    verdict: str | None = json.loads(done.stdout)["fault"]
    return verdict
