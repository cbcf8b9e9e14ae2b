"""The codes of errors that metrics count by: a code that is not here is counted as `other`. Used by `observe.py`."""

from alcove.server.errors import MEANINGS
from alcove.server.http_refusals import REFUSALS

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
    {
        *(*_OF_REQUESTS, *_OF_ROUTING, "internal_error"),
        *(meaning.code for meaning in MEANINGS.values() if meaning.code is not None),
        *(refusal.code for refusal in REFUSALS),
    }
)
"""All codes that an answer may name."""


def counted(code: str | None) -> str | None:
    """The code as metrics may name it."""
    return code if code is None or code in CODES else "other"
