"""What is known of one request while it is answered: made by `server/observe.py`, written as things happen, read when
the answer has ended for the log, the metrics and the traces. Holds no text of the request or the answer.
"""

import time
from collections.abc import Hashable
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Record:
    """One request. Times are those of `time.perf_counter`."""

    id: str = ""
    """The answer's `x-request-id`."""
    method: str = ""
    """The HTTP method; empty where there was no request yet."""
    begun: float = field(default_factory=time.perf_counter)
    """When the request arrived."""
    ended: float | None = None
    endpoint: str | None = None
    """The path as the route declares it; None where no route was found, since the path itself is the client's text."""
    streamed: bool | None = None
    """Whether events were asked for; None where nothing is generated."""
    status: int | None = None
    """Status of the answer; None when the client left before there was one, or the connection was closed without."""
    code: str | None = None
    """OpenAI's code of the error that was answered."""
    failed: bool = False
    """Whether an error was answered, before the answer or in its course."""
    left: bool = False
    """Whether the client went away before the end."""
    caller: str | None = None
    """Configured name of the key that was sent, never the key; None where none is needed."""
    model: str | None = None
    """Configured name of the model that it reached."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish: str | None = None
    """`stop`, or `length` if any output reached its limit; None until one has ended."""
    batch_at: float | None = None
    """When the first batch began, where the engine tells."""
    first_at: float | None = None
    """When the first token was made."""
    latest: dict[Hashable, float] = field(default_factory=dict)
    """When the newest token of each output came."""


current: ContextVar[Record | None] = ContextVar("request", default=None)
"""The request that this task works for. Set once, by the outermost layer of the server."""
