"""From events to OpenAI's chunks, and from chunks to the whole answer.

A whole answer is the fold of the very chunks that a stream would have sent, so the two cannot differ. Made by the
routes, once a request; driven by `server/respond.py`.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from alcove.jobs import Event
from alcove.protocol.render.chat import ChatRenderer
from alcove.protocol.render.completions import CompletionRenderer

__all__ = ["ChatRenderer", "CompletionRenderer", "Renderer"]

Chunk = TypeVar("Chunk")


class Renderer(Protocol[Chunk]):
    """What an endpoint makes of events."""

    def chunk(self, event: Event) -> Chunk | None:
        """The chunk that tells of this event; None when there is nothing to tell."""

    def usage(self) -> Chunk:
        """The last chunk: no choices, but the tokens of all events so far."""

    def fold(self, chunks: Sequence[Chunk]) -> Struct:
        """The whole answer that these chunks (the last one with the usage) add up to."""
