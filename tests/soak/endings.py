"""Replies -> how each request ended: with a text, with OpenAI's error, or otherwise than any request may end."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tests.conformance.schema import check
from tests.soak.client import Reply

_DONE = "[DONE]"


@dataclass(slots=True)
class Ending:
    """What a client knows when it is over."""

    text: str = ""
    """As far as it came."""
    usage: dict[str, Any] | None = None
    status: int = 0
    code: str | None = None
    """Of OpenAI's error, where there was one."""
    whole: bool = False
    """Whether the answer came to its end, and with no error."""
    cut: bool = False
    """Whether the connection ended before the answer did."""
    problem: str | None = None
    """Why no request may end so."""


def read(reply: Reply) -> Ending:
    """What became of a request. A client that left has what came until then."""
    ending = Ending(status=reply.status)
    body = b"".join(reply.pieces)
    try:
        if reply.late:
            ending.problem = "no end in time"
        elif reply.headers.get("content-type", "").startswith("text/event-stream"):
            _read_events(body.decode(), ending, complete=reply.complete)
        elif not reply.complete:
            ending.cut = True
        elif reply.status == 200:
            answer = json.loads(body)
            ending.text, ending.usage, ending.whole = _text(answer["choices"][0]), answer["usage"], True
        else:
            ending.code = code_of(body)
    except (ValueError, KeyError, AssertionError) as error:
        ending.problem = f"{type(error).__name__}: {error}: {body[-200:]!r}"
    return ending


def _read_events(body: str, ending: Ending, *, complete: bool) -> None:
    *events, rest = body.split("\n\n")
    done = False
    for event in events:
        if event.startswith(":"):  # a comment, which tells that the server is alive
            continue
        assert not done, "something follows [DONE]"
        assert ending.code is None, "something follows an error"
        data = event.removeprefix("data: ")
        if data == _DONE:
            done = True
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            ending.code = code_of(data.encode())
            continue
        ending.text += "".join(map(_text, chunk["choices"]))
        ending.usage = chunk.get("usage") or ending.usage
    ending.whole = complete and done
    ending.cut = not complete and not done and ending.code is None
    if complete:
        assert not rest, "an event is cut"
        assert done or ending.code is not None, "neither [DONE] nor an error ends the stream"


def _text(choice: dict[str, Any]) -> str:
    if "text" in choice:
        return str(choice["text"])
    words = choice["delta"] if "delta" in choice else choice["message"]
    return words.get("content") or ""


@lru_cache(maxsize=10_000)
def code_of(error: bytes) -> str:
    """The code of an error, or its type where it has none; raises what it is not OpenAI's for. Most errors of a load
    are the same, and to hold one against the schema takes the time of many requests."""
    body = json.loads(error)
    check("ErrorResponse", body)
    return str(body["error"]["code"] or body["error"]["type"])
