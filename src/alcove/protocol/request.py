"""From the bytes of a request's body to jobs: parse strictly, sort out the fields, validate.

Every field ends in one of three ways: honoured, accepted without effect, or refused by name (`protocol/fields.py`).
Called by the routes; knows OpenAI's words, but no HTTP.
"""

import difflib
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from alcove.errors import InvalidRequest
from alcove.jobs import Chat, Job, Message, TokenIds
from alcove.protocol.chat import ChatRequest
from alcove.protocol.completions import CompletionRequest
from alcove.protocol.fields import ACCEPTED, ENGINE_OPTIONS, REFUSED, GenerationRequest
from alcove.runs import Options

COMPLETION_MAX_TOKENS = 16
"""OpenAI's default for completions; chat has none."""

Request = TypeVar("Request", bound=GenerationRequest)


def parse(body: bytes, wire_type: type[Request]) -> tuple[Request, dict[str, Any]]:
    """The validated request, and the options that only an engine can judge; `InvalidRequest` names what is wrong."""
    try:
        fields = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.", code="invalid_json") from error
    if not isinstance(fields, dict):
        raise InvalidRequest("The body should be a JSON object.", code="invalid_json")
    fields = {name: value for name, value in fields.items() if value is not None}
    asked = {name: fields.pop(name) for name in ENGINE_OPTIONS if name in fields}
    extra = {name: value for name, value in asked.items() if not _is_neutral(value, ENGINE_OPTIONS[name])}
    for name in [name for name in fields if name not in wire_type.model_fields]:
        value = fields.pop(name)
        if name not in ACCEPTED:
            _refuse(name, value, wire_type)
    try:
        return wire_type.model_validate(fields), extra
    except ValidationError as error:
        raise _invalid(error) from None


def completion_jobs(request: CompletionRequest, extra: dict[str, Any]) -> list[Job]:
    """A job for each prompt of a completion request."""
    return [
        Job(
            prompt=item if isinstance(item, str) else TokenIds(tuple(item)),
            param="prompt" if len(request.prompt) == 1 else f"prompt[{number}]",
            max_tokens=request.max_tokens or request.max_new_tokens,
            default_max_tokens=COMPLETION_MAX_TOKENS,
            echo=request.echo,
            **_shared(request, extra),
        )
        for number, item in enumerate(request.prompt)
    ]


def chat_jobs(request: ChatRequest, extra: dict[str, Any]) -> list[Job]:
    """The one job of a chat request."""
    messages = tuple(Message(role=m.role, content=m.content, name=m.name) for m in request.messages)
    limit = request.max_completion_tokens or request.max_tokens or request.max_new_tokens
    return [Job(prompt=Chat(messages), param="messages", max_tokens=limit, **_shared(request, extra))]


def _shared(request: GenerationRequest, extra: dict[str, Any]) -> dict[str, Any]:
    return {
        "stop": tuple(request.stop),
        "outputs": request.n,
        "options": _options(request, extra),
        "source_lang": request.source_lang,
        "target_lang": request.target_lang,
    }


def _options(request: GenerationRequest, extra: dict[str, Any]) -> Options:
    temperature, top_p = request.temperature, request.top_p
    if request.do_sample is False or top_p == 0:
        temperature, top_p = 0.0, None
    elif temperature is None and (request.do_sample or top_p is not None or (request.top_k or 0) > 0):
        temperature = 1.0  # asking for a way to sample is asking to sample; 1 is OpenAI's default
    return Options(
        temperature=temperature,
        top_p=top_p,
        top_k=None if request.top_k is None else max(request.top_k, 0),
        num_beams=request.num_beams,
        length_penalty=request.length_penalty,
        early_stopping=request.early_stopping,
        no_repeat_ngram_size=request.no_repeat_ngram_size,
        repetition_penalty=request.repetition_penalty,
        min_new_tokens=request.min_tokens,
        extra=extra,
    )


def _is_neutral(value: Any, neutral: tuple[Any, ...]) -> bool:
    return any(value == nothing and isinstance(value, bool) == isinstance(nothing, bool) for nothing in neutral)


def _refuse(name: str, value: Any, wire_type: type[GenerationRequest]) -> None:
    """Raise for a field that is not honoured, unless its value asks for nothing."""
    if name in REFUSED:
        neutral, instead = REFUSED[name]
        if not _is_neutral(value, neutral):
            raise InvalidRequest(f"'{name}' is not supported: {instead}.", param=name, code="unsupported_parameter")
        return
    near = difflib.get_close_matches(name, [*wire_type.model_fields, *ENGINE_OPTIONS], n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise InvalidRequest(f"Unknown field {name[:100]!r}.{hint}", param=name[:100], code="unknown_parameter")


def _invalid(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False, include_context=False)[0]
    param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")[:100]
    if first["type"] == "missing":
        return InvalidRequest(f"Missing field {param!r}.", param=param, code="missing_required_parameter")
    return InvalidRequest(f"{param!r}: {first['msg']}.", param=param, code="invalid_value")
