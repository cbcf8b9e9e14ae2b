"""The table of codes has every code that the source names."""

import re
from pathlib import Path

import alcove
from alcove.server.error_codes import CODES, counted

SOURCE = Path(alcove.__file__).parent


def test_every_code_in_the_source_is_in_the_table() -> None:
    named = {code for path in SOURCE.rglob("*.py") for code in re.findall(r'\bcode="([a-z_]+)"', path.read_text())}
    assert {"invalid_value", "unsupported_parameter"} <= named
    assert named <= CODES


def test_another_code_makes_no_series() -> None:
    assert (counted(None), counted("invalid_value"), counted("anything")) == (None, "invalid_value", "other")
