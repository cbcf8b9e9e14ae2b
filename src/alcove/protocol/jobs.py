"""From a request to jobs: one for each of its prompts. Called by the routes."""

from typing import Any

from alcove.errors import InvalidRequest
from alcove.jobs import Chat, Job, Message, TokenIds
from alcove.protocol.chat import ChatPrompt, ChatRequest
from alcove.protocol.completions import CompletionRequest
from alcove.protocol.generation import GenerationRequest
from alcove.protocol.lists import check_lists
from alcove.protocol.options import options_of

COMPLETION_MAX_TOKENS = 16
"""OpenAI's default for completions; chat has none."""


def completion_jobs(request: CompletionRequest, extra: dict[str, Any]) -> list[Job]:
    """A job for each prompt of a completion request."""
    limit = _first(request.max_tokens, request.max_new_tokens)
    if limit == 0 and request.prompt_logprobs is None and not (request.echo and request.logprobs is not None):
        raise _nothing_asked()
    check_lists(request, extra, prompts=len(request.prompt))
    shared = _shared(request, extra)  # made once: thousands of prompts may each have lists of thousands of ids
    return [
        Job(
            prompt=item if isinstance(item, str) else TokenIds(tuple(item)),
            param="prompt" if len(request.prompt) == 1 else f"prompt[{number}]",
            max_tokens=limit,
            default_max_tokens=COMPLETION_MAX_TOKENS,
            echo=request.echo,
            logprobs=request.logprobs,
            **shared,
        )
        for number, item in enumerate(request.prompt)
    ]


def chat_jobs(request: ChatRequest, extra: dict[str, Any]) -> list[Job]:
    """The one job of a chat request."""
    if request.top_logprobs and not request.logprobs:
        raise InvalidRequest("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs", code="invalid_value")
    limit = _first(request.max_completion_tokens, request.max_tokens, request.max_new_tokens)
    if limit == 0 and request.prompt_logprobs is None:
        raise _nothing_asked()
    check_lists(request, extra, prompts=1)
    logprobs = (request.top_logprobs or 0) if request.logprobs else None
    return [
        Job(prompt=chat_of(request), param="messages", max_tokens=limit, logprobs=logprobs, **_shared(request, extra))
    ]


def chat_of(request: ChatPrompt) -> Chat:
    """The chat of a request, and how it becomes a prompt."""
    continues = request.continue_final_message
    if continues and request.add_generation_prompt:
        raise InvalidRequest(
            "'continue_final_message' and 'add_generation_prompt' cannot both be true.",
            param="continue_final_message",
            code="invalid_value",
        )
    return Chat(
        tuple(Message(role=m.role, content=m.content, name=m.name) for m in request.messages),
        add_generation_prompt=not continues if request.add_generation_prompt is None else request.add_generation_prompt,
        continue_final=continues,
        variables=request.chat_template_kwargs,
    )


def _shared(request: GenerationRequest, extra: dict[str, Any]) -> dict[str, Any]:
    prefix = request.decoder_prefix
    return {
        "stop": tuple(request.stop),
        "bad_words": tuple(request.bad_words),
        "outputs": request.n,
        "best_of": None if request.use_beam_search or request.best_of == request.n else request.best_of,
        "options": options_of(request, extra),
        "prompt_logprobs": request.prompt_logprobs,
        "decoder_prefix": tuple(prefix) if isinstance(prefix, list) else prefix,
        "special": request.add_special_tokens,
        "truncate_prompt": request.truncate_prompt_tokens,
        "skip_special": request.skip_special_tokens,
        "include_stop": request.include_stop_str_in_output,
        "source_lang": request.source_lang,
        "target_lang": request.target_lang,
        "names": {"num_beams": "use_beam_search"} if request.use_beam_search and request.num_beams is None else {},
    }


def _nothing_asked() -> InvalidRequest:
    return InvalidRequest(
        "'max_tokens' is 0, which only scores the prompt: ask for 'prompt_logprobs', or for 'echo' with 'logprobs'.",
        param="max_tokens",
        code="invalid_value",
    )


def _first(*limits: int | None) -> int | None:
    return next((limit for limit in limits if limit is not None), None)
