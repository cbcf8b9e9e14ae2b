"""The id of a request, for its answer (`x-request-id`, which OpenAI's clients show), the log and traces."""

import re
import uuid
from collections.abc import Iterable

_ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The client's own, if it sends one of up to 64 letters, digits, dots, underscores and hyphens; else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _ACCEPTED.fullmatch(value):
            return value.decode()
    return f"req_{uuid.uuid4().hex}"
