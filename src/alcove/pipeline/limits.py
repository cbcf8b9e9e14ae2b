"""How long a prompt and an answer may be: from the model's own bounds, its settings and the request.

Encoder-decoder models have two limits, source and target; a causal model has one for both together.
"""

from dataclasses import dataclass

from alcove.config.settings import ModelSettings
from alcove.errors import ContextLengthExceeded
from alcove.jobs import Job
from alcove.store.folder import GenerationDefaults, ModelFolder

UNBOUNDED = 2048
"""What stands for the limit of a model that has none of its own (relative positions, as in T5); `max_prompt_tokens`
and `max_output_tokens` raise it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one model, in tokens."""

    prompt: int
    """Longest prompt, special tokens counted."""
    output: int
    """Longest answer, tokens that the decoder is made to begin with counted."""
    total: int | None
    """Prompt and answer together, for a causal model."""
    default_output: int | None
    """Answer's length where the request says nothing, from the model's settings or its own generation defaults."""
    default_total: int | None
    """The same, but counting the prompt (a causal model's `max_length`)."""

    @property
    def longest_input(self) -> int:
        """Most tokens of a prompt, and of a causal model's answer with it."""
        return self.prompt if self.total is None else self.total

    def room(self, prompt: int, forced: int, job: Job) -> int:
        """Most new tokens for a job whose prompt has `prompt` tokens and whose answer begins with `forced` ones.

        Raises `ContextLengthExceeded` when the prompt, or what the request asks for, does not fit.
        """
        if prompt > self.prompt:
            raise ContextLengthExceeded(
                f"The prompt has {prompt} tokens; this model takes {self.prompt}.", param=job.param
            )
        room = self.output - forced if self.total is None else min(self.output, self.total - prompt)
        if job.max_tokens is not None:
            if job.max_tokens > room:
                raise ContextLengthExceeded(
                    f"{job.max_tokens} new tokens do not fit: after a prompt of {prompt} tokens this model has room "
                    f"for {room}.",
                    param=job.param,
                )
            return job.max_tokens
        wanted = self.default_output or job.default_max_tokens
        if self.default_total is not None:
            wanted = max(self.default_total - prompt, 1)
        return min(wanted or room, room)

    def longest(self, job: Job) -> int:
        """Most tokens of a prompt that leaves room for what the job asks for."""
        return self.prompt if self.total is None else min(self.prompt, self.total - (job.max_tokens or 1))


def limits_of(folder: ModelFolder, settings: ModelSettings, own: GenerationDefaults) -> Limits:
    """The limits of a model; `own` is what its settings say of generation, before the folder's own file."""
    asked = own if own.max_new_tokens or own.max_length else folder.generation
    default_output, max_length = asked.max_new_tokens, asked.max_length
    prompt = _least(settings.max_prompt_tokens, folder.source_limit)
    if folder.kind == "causal":
        total = folder.source_limit or (settings.max_prompt_tokens or UNBOUNDED) + (settings.max_output_tokens or 0)
        return Limits(
            prompt=min(prompt, total - 1),
            output=settings.max_output_tokens or total,
            total=total,
            default_output=default_output,
            default_total=None if default_output else max_length,
        )
    # the start token has a position too
    target = None if folder.target_limit is None else folder.target_limit - 1
    if default_output is None and max_length is not None:
        default_output = max(max_length - 1, 1)
    return Limits(
        prompt=prompt,
        output=_least(settings.max_output_tokens, target),
        total=None,
        default_output=default_output,
        default_total=None,
    )


def _least(asked: int | None, own: int | None) -> int:
    return min(asked or own or UNBOUNDED, own or asked or UNBOUNDED)
