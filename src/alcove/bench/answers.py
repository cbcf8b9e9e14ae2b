"""Replies -> outcomes: events, texts and token counts. Called when the load is over, so that it costs the server and
the clock nothing.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from alcove.bench.http import Reply
from alcove.bench.measured import Outcome

_EVENT_END = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(rb"\r?\n")
_DONE = b"[DONE]"
_REQUEST_ID = re.compile(r",? (under )?req_\w+")
_MOST_OF_A_REASON = 160


class _Words(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    text: str | None = None
    delta: _Words | None = None
    message: _Words | None = None

    def words(self) -> str:
        if self.text is not None:
            return self.text
        words = self.delta or self.message
        return "" if words is None else (words.reasoning_content or "") + (words.content or "")


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Answer(msgspec.Struct):
    """What is read of a whole answer, of a chunk and of an error alike."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Answer).decode


def events(pieces: Sequence[bytes], times: Sequence[float]) -> list[tuple[float, bytes]]:
    """The data of each event, and when its last byte came. What no blank line ends is no event."""
    found = []
    held = b""
    for piece, time in zip(pieces, times, strict=True):
        *complete, held = _EVENT_END.split(held + piece)
        found += [(time, data) for event in complete if (data := _data(event)) is not None]
    return found


def _data(event: bytes) -> bytes | None:
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    lines = [line[5:].removeprefix(b" ") for line in _LINE_END.split(event) if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def outcome(reply: Reply, sent_at: float, *, started: float, streamed: bool, lateness_s: float = 0.0) -> Outcome:
    """What became of a request; `sent_at` and `started`, the level's own beginning, are times of `perf_counter`."""
    read = _Read()
    try:
        error = reply.error or _problem(reply, streamed, read)
    except msgspec.MsgspecError as problem:
        error = f"the answer is not what OpenAI's API sends: {problem}"
    times = tuple(time - started for time in read.times)
    return Outcome(
        sent_at=sent_at - started,
        ended_at=reply.ended_at - started,
        first_at=times[0] if times else None,
        chunk_times=times,
        text=read.text(),
        prompt_tokens=read.usage.prompt_tokens,
        completion_tokens=read.usage.completion_tokens,
        error=error,
        lateness_s=lateness_s,
    )


class _Read:
    """What has been read of an answer."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.usage = _Usage()
        self._texts: dict[int, list[str]] = {}

    def add(self, answer: _Answer, time: float | None) -> None:
        with_words = False
        for choice in answer.choices or ():
            if words := choice.words():
                self._texts.setdefault(choice.index, []).append(words)
                with_words = True
        if with_words and time is not None:
            self.times.append(time)
        if answer.usage is not None:
            self.usage = answer.usage

    def text(self) -> str:
        return "\n".join("".join(self._texts[index]) for index in sorted(self._texts))


def _problem(reply: Reply, streamed: bool, read: _Read) -> str | None:
    """Read a complete reply. The reason if it is a failure all the same."""
    if not 200 <= reply.status < 300:
        return f"status {reply.status}: {_message_of(b''.join(reply.pieces))}"
    if not streamed:
        answer = _decode(b"".join(reply.pieces))
        if answer.choices is None:
            return "the answer has no choices"
        read.add(answer, None)
        return None
    done = False
    for time, data in events(reply.pieces, reply.times):
        if data == _DONE:
            done = True
            continue
        answer = _decode(data)
        if answer.error is not None:
            return f"an error in the stream: {_told(answer.error)}"
        read.add(answer, time)
    return None if done else "the stream ended without [DONE]"


def _message_of(body: bytes) -> str:
    try:
        error = _decode(body).error
    except msgspec.MsgspecError:
        error = None
    return _told(error if error is not None else body.decode(errors="replace"))


def _told(error: Any) -> str:
    message = error.get("message", error) if isinstance(error, dict) else error
    text = _REQUEST_ID.sub("", " ".join(str(message).split()))  # or each failure would be one of its own
    return text if len(text) <= _MOST_OF_A_REASON else text[: _MOST_OF_A_REASON - 3] + "..."
