"""Renders `/v1/chat/completions`: events -> chunks, chunks -> the whole answer."""

import uuid
from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from alcove.jobs import Event
from alcove.protocol.chat import (
    AnswerMessage,
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatLogprobs,
    ChunkChoice,
    Delta,
)
from alcove.protocol.logprobs import PromptLogprobs, chat_token
from alcove.protocol.render.shared import Head, by_choice, first, joined, stop_reason, told_of_prompt
from alcove.protocol.usage import Usage


class ChatRenderer:
    """Renders `/v1/chat/completions`."""

    def __init__(self, model: str, n: int, *, logprobs: bool = False, token_ids: bool = False) -> None:
        self._head = Head(model, n, logprobs, token_ids, f"chatcmpl-{uuid.uuid4().hex}")
        self._begun: set[int] = set()

    def chunk(self, event: Event) -> ChatChunk | None:
        """A chunk with the event's text; the first of a choice names the role, the first of all the prompt."""
        index = self._head.count(event)
        begins = index not in self._begun
        if not begins and not self._head.tells(event):
            return None
        self._begun.add(index)
        choice = ChunkChoice(
            index,
            Delta(role="assistant" if begins else None, content=event.text if begins or event.text else None),
            event.finish,
            logprobs=ChatLogprobs([chat_token(token) for token in event.logprobs]) if self._head.logprobs else None,
            stop_reason=stop_reason(event),
            token_ids=self._head.ids(event),
        )
        if len(self._begun) > 1:
            return self._object([choice])
        return self._object([choice], None, told_of_prompt(event), self._head.prompt_ids(event))

    def usage(self) -> ChatChunk:
        """A chunk with the usage."""
        return self._object([], self._head.usage())

    def fold(self, chunks: Sequence[ChatChunk]) -> ChatCompletion:
        """The whole answer."""
        head = self._head
        return ChatCompletion(
            head.id,
            "chat.completion",
            head.created,
            head.model,
            [_chat(pieces) for pieces in by_choice(piece for chunk in chunks for piece in chunk.choices)],
            chunks[-1].usage,
            prompt_logprobs=first(chunk.prompt_logprobs for chunk in chunks),
            prompt_token_ids=first(chunk.prompt_token_ids for chunk in chunks),
        )

    def _object(
        self,
        choices: list[ChunkChoice],
        usage: Usage | None = None,
        logprobs: PromptLogprobs | UnsetType = UNSET,
        ids: list[int] | UnsetType = UNSET,
    ) -> ChatChunk:
        head = self._head
        return ChatChunk(head.id, "chat.completion.chunk", head.created, head.model, choices, usage, logprobs, ids)


def _chat(pieces: Sequence[ChunkChoice]) -> ChatChoice:
    parts = [piece.logprobs for piece in pieces if piece.logprobs is not None]
    stop = pieces[-1].stop_reason
    return ChatChoice(
        pieces[0].index,
        AnswerMessage("".join(piece.delta.content or "" for piece in pieces)),
        pieces[-1].finish_reason,
        logprobs=ChatLogprobs([token for part in parts for token in part.content]) if parts else None,
        stop_reason=None if stop is UNSET else stop,
        token_ids=joined(piece.token_ids for piece in pieces),
    )
