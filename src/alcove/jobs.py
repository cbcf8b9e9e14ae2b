"""What the pipeline is asked and what it answers, with text: a `Job` goes in, `Event`s come out.

`protocol/` makes jobs from a request's body and chunks from events; `pipeline/model.py` turns a job into a run of
the engine, and the run's steps into events.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

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
    add_generation_prompt: bool = True
    """Whether the prompt ends where the assistant begins to speak."""
    continue_final: bool = False
    """Whether the answer goes on from the last message, rather than after it."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    """Further variables of the model's chat template, as the request sent them."""


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
    bad_words: tuple[str, ...] = ()
    """Texts that must not occur in the output, beside the sequences of ids in `options`."""
    echo: bool = False
    """Whether the answer begins with the prompt's own text."""
    outputs: int = 1
    """Completions wanted of this prompt (OpenAI's `n`): that many samples, or the best of one beam search."""
    options: Options = field(default_factory=Options)
    """What the request asks; the rest comes from the model."""
    best_of: int | None = None
    """Completions made, of which the `outputs` best by mean log-probability are kept; None makes no more."""
    logprobs: int | None = None
    """Log-probabilities wanted of the answer's tokens, with so many alternatives; with `echo` of the prompt's too."""
    prompt_logprobs: int | None = None
    """The same of the prompt's tokens (an encoder-decoder: of the decoder's prefix)."""
    decoder_prefix: str | tuple[int, ...] | None = None
    """Encoder-decoder: what the answer must go on from; not part of it."""
    continuation: str | None = None
    """Nothing is made: the log-probabilities of this text after the prompt are wanted, as `Event.prompt_logprobs`; for
    an encoder-decoder, of this text as the whole answer, its end included."""
    special: bool | None = None
    """Whether the tokenizer adds its special tokens to a text; None does as the prompt's kind wants (not where a chat
    template has written them)."""
    truncate_prompt: int | None = None
    """Keep only so many tokens of the prompt, the last ones; -1 is as many as the model takes."""
    skip_special: bool | None = None
    """Whether special tokens are left out of the answer's text; None does as the model's settings say."""
    include_stop: bool = False
    """Whether the stop string or token that ended the answer is part of its text."""
    source_lang: str | None = None
    """Language of the prompt in the model's own code, for models that have languages."""
    target_lang: str | None = None
    """Language of the answer, likewise."""
    names: Mapping[str, str] = field(default_factory=dict)
    """For errors: the request's names of options that it knows by another than `Options`."""


@dataclass(frozen=True, slots=True)
class TokenText:
    """A token with its log-probability, as a person reads it."""

    id: int
    text: str
    """What the token alone stands for; U+FFFD where its bytes are part of a character only."""
    bytes: bytes
    """The same, exactly."""
    logprob: float | None
    """None for the first token of a prompt, which nothing stands before."""
    top: tuple["TokenText", ...] = ()
    """The most probable tokens in its place, best first."""
    offset: int = 0
    """How many characters of the output's text, an echoed prompt included, stand before it."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
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
    ids: tuple[int, ...] = ()
    """The ids of these tokens."""
    logprobs: tuple[TokenText, ...] = ()
    """The same tokens with their log-probabilities, where the job wants them; on an output's first event, those of an
    echoed prompt stand before them."""
    end: TokenText | None = None
    """With `finish`: the model's own end of sequence and its log-probability, where the job wants those and the engine
    tells it; not one of the tokens."""
    prompt_ids: tuple[int, ...] = ()
    """On an output's first event: the ids of the job's prompt."""
    prompt_logprobs: tuple[TokenText, ...] = ()
    """On an output's first event, where the job wants them."""
    finish: FinishReason | None = None
    """Set on the last event of an output."""
    stop: str | int | None = None
    """With `finish` \"stop\": the stop string or token id that was found; None for the model's own end."""
