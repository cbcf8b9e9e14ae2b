"""What the pipeline is asked and what it answers, with text: a `Job` goes in, `Event`s come out.

`protocol/` makes jobs from a request's body and chunks from events; `pipeline/model.py` turns a job into a run of
the engine, and the run's steps into events.
"""

from dataclasses import dataclass, field
from typing import Literal

from alcove.runs import FinishReason, Options

Role = Literal["system", "developer", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a chat, its content parts already joined to one text."""

    role: Role
    content: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Chat:
    """A prompt in turns, oldest first."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class TokenIds:
    """A prompt that is encoded already; taken as it is, no special tokens are added."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One prompt whose completions are wanted. A request has a job for each of its prompts."""

    prompt: str | TokenIds | Chat
    param: str
    """The field of the request that holds the prompt, for errors: `prompt`, `prompt[1]`, `messages`."""
    max_tokens: int | None = None
    """The limit the request names; None leaves it to the model's settings and the endpoint's default."""
    default_max_tokens: int | None = None
    """The endpoint's default where neither request nor model says: 16 for completions; None fills the context."""
    stop: tuple[str, ...] = ()
    """Texts that end the output; not part of it."""
    echo: bool = False
    """Whether the answer begins with the prompt's own text."""
    outputs: int = 1
    """Completions wanted of this prompt (OpenAI's `n`): that many samples, or the best of one beam search."""
    options: Options = field(default_factory=Options)
    """What the request asks; the rest comes from the model."""
    source_lang: str | None = None
    """Language of the prompt in the model's own code, for models that have languages."""
    target_lang: str | None = None
    """Language of the answer, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """News of one output of one job."""

    job: int
    """Index into the jobs that were given together."""
    output: int = 0
    """Which of the job's outputs."""
    text: str = ""
    """Text that follows what came before; may be empty."""
    tokens: int = 0
    """Completion tokens that this event accounts for, the end of sequence not counted."""
    prompt_tokens: int = 0
    """Tokens of the job's prompt, special ones included: on the first event of a job, 0 on the others."""
    finish: FinishReason | None = None
    """Set on the last event of an output."""
