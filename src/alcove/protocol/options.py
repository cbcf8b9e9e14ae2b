"""A request's generation options as `Options`: what it asks for, and no more. Called by `jobs.py`."""

from typing import Any

from alcove.protocol.generation import GenerationRequest
from alcove.runs import Options


def options_of(request: GenerationRequest, extra: dict[str, Any]) -> Options:
    """The options that the request names; `extra` has those that only an engine can judge."""
    temperature, top_p = request.temperature, request.top_p
    if request.do_sample is False or top_p == 0:
        temperature, top_p = 0.0, None
    elif temperature is None and _asks_to_sample(request):
        temperature = 1.0  # asking for a way to sample is asking to sample; 1 is OpenAI's default
    return Options(
        temperature=temperature,
        top_p=top_p,
        top_k=None if request.top_k is None else max(request.top_k, 0),
        min_p=request.min_p,
        typical_p=request.typical_p,
        seed=request.seed,
        num_beams=_beams(request),
        length_penalty=request.length_penalty,
        early_stopping=request.early_stopping,
        no_repeat_ngram_size=request.no_repeat_ngram_size,
        repetition_penalty=request.repetition_penalty,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        min_new_tokens=request.min_tokens,
        logit_bias=request.logit_bias or None,
        bad_words_ids=tuple(map(tuple, request.bad_words_ids)) or None,
        allowed_token_ids=None if request.allowed_token_ids is None else tuple(request.allowed_token_ids),
        stop_token_ids=tuple(request.stop_token_ids) or None,
        ignore_eos=request.ignore_eos or None,
        extra=extra,
    )


def _asks_to_sample(request: GenerationRequest) -> bool:
    """Whether there is an option that has a meaning for sampling only; `seed` is sent by clients to greedy models."""
    narrows = request.min_p or (request.typical_p or 1) < 1
    return bool(request.do_sample or request.top_p is not None or (request.top_k or 0) > 0 or narrows)


def _beams(request: GenerationRequest) -> int | None:
    """Width of the search; `use_beam_search` makes it `best_of` or `n`."""
    if request.num_beams is None and request.use_beam_search:
        return request.best_of or request.n
    return request.num_beams
