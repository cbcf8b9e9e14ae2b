"""The codes of errors that metrics count by: a code that is not here is counted as `other`. Used by `observe.py`."""

from alcove.server.errors import MEANINGS

_OF_REQUESTS = (
    "context_length_exceeded",
    "invalid_json",
    "invalid_value",
    "missing_required_parameter",
    "unknown_parameter",
    "unsupported_parameter",
)
"""Those of `InvalidRequest`, which names its own."""
_OF_ROUTING = ("unknown_url", "method_not_allowed")

CODES = frozenset(
    {*_OF_REQUESTS, *_OF_ROUTING, "internal_error", *(m.code for m in MEANINGS.values() if m.code is not None)}
)
"""All codes that an answer may name."""


def counted(code: str | None) -> str | None:
    """The code as metrics may name it."""
    return code if code is None or code in CODES else "other"
