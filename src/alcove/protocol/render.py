"""From events to OpenAI's chunks, and from chunks to the whole answer.

A whole answer is the fold of the very chunks that a stream would have sent, so the two cannot differ. Made by the
routes, once a request; driven by `server/respond.py`.
"""

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from alcove.jobs import Event
from alcove.protocol.chat import AnswerMessage, ChatChoice, ChatChunk, ChatCompletion, ChunkChoice, Delta
from alcove.protocol.completions import Completion, CompletionChoice
from alcove.protocol.usage import Usage
from alcove.runs import FinishReason

Chunk = TypeVar("Chunk", Completion, ChatChunk)


class Renderer(Protocol[Chunk]):
    """What an endpoint makes of events."""

    def chunk(self, event: Event) -> Chunk | None:
        """The chunk that tells of this event; None when there is nothing to tell."""

    def usage(self) -> Chunk:
        """The last chunk: no choices, but the tokens of all events so far."""

    def fold(self, chunks: Sequence[Chunk]) -> Completion | ChatCompletion:
        """The whole answer that these chunks (the last one with the usage) add up to."""


@dataclass(slots=True, kw_only=True)
class _Choice:
    """One choice of a whole answer while it is being folded."""

    text: list[str] = field(default_factory=list)
    finish: FinishReason | None = None


@dataclass(slots=True)
class _Head:
    """What all chunks of an answer have in common, and the tokens counted so far."""

    model: str
    n: int
    """Choices a prompt."""
    id: str
    created: int = field(default_factory=lambda: int(time.time()))
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def count(self, event: Event) -> int:
        """Count the event's tokens; returns the index of its choice."""
        self.prompt_tokens += event.prompt_tokens
        self.completion_tokens += event.tokens
        return event.job * self.n + event.output

    def usage(self) -> Usage:
        return Usage(self.prompt_tokens, self.completion_tokens, self.prompt_tokens + self.completion_tokens)


class CompletionRenderer:
    """Renders `/v1/completions`."""

    def __init__(self, model: str, n: int) -> None:
        self._head = _Head(model, n, f"cmpl-{uuid.uuid4().hex}")

    def chunk(self, event: Event) -> Completion | None:
        """A chunk with the event's text."""
        index = self._head.count(event)
        if not event.text and event.finish is None:
            return None
        return self._object([CompletionChoice(index, event.text, event.finish)])

    def usage(self) -> Completion:
        """A chunk with the usage."""
        return self._object([], self._head.usage())

    def fold(self, chunks: Sequence[Completion]) -> Completion:
        """The whole answer."""
        choices = _fold((piece.index, piece.text, piece.finish_reason) for chunk in chunks for piece in chunk.choices)
        folded = [CompletionChoice(index, "".join(c.text), c.finish) for index, c in sorted(choices.items())]
        return self._object(folded, chunks[-1].usage)

    def _object(self, choices: list[CompletionChoice], usage: Usage | None = None) -> Completion:
        head = self._head
        return Completion(head.id, "text_completion", head.created, head.model, choices, usage)


class ChatRenderer:
    """Renders `/v1/chat/completions`."""

    def __init__(self, model: str, n: int) -> None:
        self._head = _Head(model, n, f"chatcmpl-{uuid.uuid4().hex}")
        self._begun: set[int] = set()

    def chunk(self, event: Event) -> ChatChunk | None:
        """A chunk with the event's text; the first of a choice names the role."""
        index = self._head.count(event)
        if index not in self._begun:
            self._begun.add(index)
            delta = Delta(role="assistant", content=event.text)
        elif event.text:
            delta = Delta(content=event.text)
        elif event.finish is not None:
            delta = Delta()
        else:
            return None
        return self._object([ChunkChoice(index, delta, event.finish)])

    def usage(self) -> ChatChunk:
        """A chunk with the usage."""
        return self._object([], self._head.usage())

    def fold(self, chunks: Sequence[ChatChunk]) -> ChatCompletion:
        """The whole answer."""
        choices = _fold(
            (piece.index, piece.delta.content or "", piece.finish_reason) for chunk in chunks for piece in chunk.choices
        )
        folded = [ChatChoice(index, AnswerMessage("".join(c.text)), c.finish) for index, c in sorted(choices.items())]
        head = self._head
        return ChatCompletion(head.id, "chat.completion", head.created, head.model, folded, chunks[-1].usage)

    def _object(self, choices: list[ChunkChoice], usage: Usage | None = None) -> ChatChunk:
        head = self._head
        return ChatChunk(head.id, "chat.completion.chunk", head.created, head.model, choices, usage)


def _fold(pieces: Iterable[tuple[int, str, FinishReason | None]]) -> dict[int, _Choice]:
    choices: dict[int, _Choice] = {}
    for index, text, finish in pieces:
        choice = choices.setdefault(index, _Choice())
        choice.text.append(text)
        choice.finish = finish or choice.finish
    return choices
