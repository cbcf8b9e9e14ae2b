"""What the renderers of both endpoints share: the head of an answer, and how pieces of a choice are put together."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec import UNSET, UnsetType

from alcove.jobs import Event
from alcove.protocol.chat import ChunkChoice
from alcove.protocol.completions import CompletionChoice
from alcove.protocol.logprobs import PromptLogprobs, prompt_logprobs
from alcove.protocol.usage import Usage

Piece = TypeVar("Piece", CompletionChoice, ChunkChoice)
Value = TypeVar("Value")


@dataclass(slots=True)
class Head:
    """What all chunks of an answer have in common, and the tokens counted so far."""

    model: str
    n: int
    """Choices a prompt."""
    logprobs: bool
    """Whether choices tell the log-probabilities of their tokens."""
    token_ids: bool
    """Whether choices tell their token ids."""
    id: str
    created: int = field(default_factory=lambda: int(time.time()))
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def count(self, event: Event) -> int:
        """Count the event's tokens; returns the index of its choice."""
        self.prompt_tokens += event.prompt_tokens
        self.completion_tokens += event.tokens
        return event.job * self.n + event.output

    def tells(self, event: Event) -> bool:
        """Whether anybody wants to know of the event."""
        told = (self.logprobs and event.logprobs) or (self.token_ids and (event.ids or event.prompt_ids))
        return bool(event.text or event.finish or event.prompt_logprobs or told)

    def ids(self, event: Event) -> list[int] | UnsetType:
        """The ids of the event's tokens, where they are wanted."""
        return list(event.ids) if self.token_ids else UNSET

    def prompt_ids(self, event: Event) -> list[int] | UnsetType:
        """The ids of the prompt, where they are wanted and the event has them."""
        return list(event.prompt_ids) if self.token_ids and event.prompt_ids else UNSET

    def usage(self) -> Usage:
        """The tokens counted so far."""
        return Usage(self.prompt_tokens, self.completion_tokens, self.prompt_tokens + self.completion_tokens)


def stop_reason(event: Event) -> str | int | UnsetType | None:
    """vLLM's field: what ended the choice; only on its last piece."""
    return UNSET if event.finish is None else event.stop


def told_of_prompt(event: Event) -> PromptLogprobs | UnsetType:
    """The log-probabilities of the prompt's tokens, where the event has them."""
    return prompt_logprobs(event.prompt_logprobs) if event.prompt_logprobs else UNSET


def by_choice(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """The pieces of each choice, choices by their index."""
    choices: dict[int, list[Piece]] = {}
    for piece in pieces:
        choices.setdefault(piece.index, []).append(piece)
    return [choices[index] for index in sorted(choices)]


def first(values: Iterable[Value | UnsetType]) -> Value | UnsetType:
    """The first value that is there."""
    return next((value for value in values if not isinstance(value, UnsetType)), UNSET)


def joined(values: Iterable[list[int] | UnsetType]) -> list[int] | UnsetType:
    """All ids in a row, where they were asked for."""
    found = [value for value in values if not isinstance(value, UnsetType)]
    return [token for ids in found for token in ids] if found else UNSET
