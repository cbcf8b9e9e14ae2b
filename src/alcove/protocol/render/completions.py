"""Renders `/v1/completions`: events -> chunks, chunks -> the whole answer."""

import uuid
from collections.abc import Sequence

from alcove.jobs import Event
from alcove.protocol.completions import Completion, CompletionChoice, CompletionLogprobs
from alcove.protocol.logprobs import completion_logprob, completion_text, completion_top
from alcove.protocol.render.shared import Head, by_choice, first, joined, stop_reason, told_of_prompt
from alcove.protocol.usage import Usage


class CompletionRenderer:
    """Renders `/v1/completions`."""

    def __init__(self, model: str, n: int, *, logprobs: bool = False, token_ids: bool = False) -> None:
        self._head = Head(model, n, logprobs, token_ids, f"cmpl-{uuid.uuid4().hex}")

    def chunk(self, event: Event) -> Completion | None:
        """A chunk with the event's text."""
        index = self._head.count(event)
        if not self._head.tells(event):
            return None
        choice = CompletionChoice(
            index,
            event.text,
            event.finish,
            logprobs=_completion_logprobs(event) if self._head.logprobs else None,
            stop_reason=stop_reason(event),
            token_ids=self._head.ids(event),
            prompt_token_ids=self._head.prompt_ids(event),
            prompt_logprobs=told_of_prompt(event),
        )
        return self._object([choice])

    def usage(self) -> Completion:
        """A chunk with the usage."""
        return self._object([], self._head.usage())

    def fold(self, chunks: Sequence[Completion]) -> Completion:
        """The whole answer."""
        choices = [_completion(pieces) for pieces in by_choice(p for chunk in chunks for p in chunk.choices)]
        return self._object(choices, chunks[-1].usage)

    def _object(self, choices: list[CompletionChoice], usage: Usage | None = None) -> Completion:
        head = self._head
        return Completion(head.id, "text_completion", head.created, head.model, choices, usage)


def _completion_logprobs(event: Event) -> CompletionLogprobs:
    """As in OpenAI's completions, the end of sequence stands among the tokens; in chats it does not."""
    tokens = event.logprobs if event.end is None else (*event.logprobs, event.end)
    return CompletionLogprobs(
        tokens=[completion_text(token) for token in tokens],
        token_logprobs=[completion_logprob(token) for token in tokens],
        top_logprobs=[completion_top(token) for token in tokens],
        text_offset=[token.offset for token in tokens],
    )


def _completion(pieces: Sequence[CompletionChoice]) -> CompletionChoice:
    """One whole choice; its last piece has the finish."""
    parts = [piece.logprobs for piece in pieces if piece.logprobs is not None]
    whole = CompletionLogprobs(
        tokens=[token for part in parts for token in part.tokens],
        token_logprobs=[number for part in parts for number in part.token_logprobs],
        top_logprobs=[top for part in parts for top in part.top_logprobs],
        text_offset=[offset for part in parts for offset in part.text_offset],
    )
    return CompletionChoice(
        pieces[0].index,
        "".join(piece.text for piece in pieces),
        pieces[-1].finish_reason,
        logprobs=whole if parts else None,
        stop_reason=pieces[-1].stop_reason,
        token_ids=joined(piece.token_ids for piece in pieces),
        prompt_token_ids=first(piece.prompt_token_ids for piece in pieces),
        prompt_logprobs=first(piece.prompt_logprobs for piece in pieces),
    )
