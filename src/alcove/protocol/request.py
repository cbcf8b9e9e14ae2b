"""From the bytes of a request's body to jobs: parse strictly, sort out the fields, validate.

Every field ends in one of three ways: honoured, accepted without effect, or refused by name (`protocol/fields.py`).
Called by the routes; knows OpenAI's words, but no HTTP.
"""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from alcove.errors import InvalidRequest
from alcove.jobs import Chat, Job, Message, TokenIds
from alcove.protocol.chat import ChatPrompt, ChatRequest
from alcove.protocol.completions import CompletionRequest
from alcove.protocol.fields import ACCEPTED, ALIASES, ENGINE_OPTIONS, REFUSED
from alcove.protocol.generation import GenerationRequest
from alcove.protocol.options import options_of
from alcove.protocol.strict_json import fields_of

COMPLETION_MAX_TOKENS = 16
"""OpenAI's default for completions; chat has none."""

Request = TypeVar("Request", bound=GenerationRequest)
Body = TypeVar("Body", bound=BaseModel)


def parse(body: bytes, wire_type: type[Request]) -> tuple[Request, dict[str, Any]]:
    """The validated request, and the options that only an engine can judge; `InvalidRequest` names what is wrong."""
    fields = read_object(body)
    renamed = _without_aliases(fields)
    asked = {name: fields.pop(name) for name in ENGINE_OPTIONS if name in fields}
    extra = {name: value for name, value in asked.items() if not _is_neutral(value, ENGINE_OPTIONS[name])}
    for name in [name for name in fields if name not in wire_type.model_fields]:
        value = fields.pop(name)
        if name not in ACCEPTED:
            _refuse(name, value, wire_type)
    request = validated(fields, wire_type, renamed)
    if request.best_of is not None:
        _check_best_of(request, request.best_of)
    return request, extra


def read_object(body: bytes) -> dict[str, Any]:
    """The fields of a JSON object, those that are null left out; `InvalidRequest` when the body is none, or not
    strictly one (`strict_json.py`)."""
    return {name: value for name, value in fields_of(body).items() if value is not None}


def parse_plain(fields: Mapping[str, Any], wire_type: type[Body]) -> Body:
    """The validated body of an endpoint that generates nothing; `InvalidRequest` names what is wrong."""
    return validated({name: value for name, value in fields.items() if name not in ACCEPTED}, wire_type)


def validated(fields: Mapping[str, Any], wire_type: type[Body], renamed: Mapping[str, str] | None = None) -> Body:
    """The fields as their type; `InvalidRequest` names the first that is wrong, by what `renamed` says it was called
    in the request."""
    try:
        return wire_type.model_validate(fields)
    except ValidationError as error:
        raise _invalid(error, renamed or {}) from None


def completion_jobs(request: CompletionRequest, extra: dict[str, Any]) -> list[Job]:
    """A job for each prompt of a completion request."""
    limit = _first(request.max_tokens, request.max_new_tokens)
    if limit == 0 and request.prompt_logprobs is None and not (request.echo and request.logprobs is not None):
        raise _nothing_asked()
    return [
        Job(
            prompt=item if isinstance(item, str) else TokenIds(tuple(item)),
            param="prompt" if len(request.prompt) == 1 else f"prompt[{number}]",
            max_tokens=limit,
            default_max_tokens=COMPLETION_MAX_TOKENS,
            echo=request.echo,
            logprobs=request.logprobs,
            **_shared(request, extra),
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


def _check_best_of(request: GenerationRequest, best_of: int) -> None:
    if best_of < request.n:
        problem = f"should be at least 'n', which is {request.n}"
    elif best_of > request.n and request.stream:
        problem = "cannot be streamed: which completions are the best is known at their ends only"
    else:
        return
    raise InvalidRequest(f"'best_of': {problem}.", param="best_of", code="invalid_value")


def _nothing_asked() -> InvalidRequest:
    return InvalidRequest(
        "'max_tokens' is 0, which only scores the prompt: ask for 'prompt_logprobs', or for 'echo' with 'logprobs'.",
        param="max_tokens",
        code="invalid_value",
    )


def _first(*limits: int | None) -> int | None:
    return next((limit for limit in limits if limit is not None), None)


def _without_aliases(fields: dict[str, Any]) -> dict[str, str]:
    """Give fields their own names; returns what each was called."""
    renamed: dict[str, str] = {}
    for alias, name in ALIASES.items():
        if alias not in fields:
            continue
        if name in fields:
            raise InvalidRequest(f"'{alias}' is another name of '{name}': send one of them.", param=alias)
        fields[name] = fields.pop(alias)
        renamed[name] = alias
    return renamed


def _is_neutral(value: Any, neutral: tuple[Any, ...]) -> bool:
    return any(value == nothing and isinstance(value, bool) == isinstance(nothing, bool) for nothing in neutral)


def _refuse(name: str, value: Any, wire_type: type[GenerationRequest]) -> None:
    """Raise for a field that is not honoured, unless its value asks for nothing."""
    if name in REFUSED:
        neutral, instead = REFUSED[name]
        if not _is_neutral(value, neutral):
            raise InvalidRequest(f"'{name}' is not supported: {instead}.", param=name, code="unsupported_parameter")
        return
    near = difflib.get_close_matches(name, [*wire_type.model_fields, *ALIASES, *ENGINE_OPTIONS], n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise InvalidRequest(f"Unknown field {name[:100]!r}.{hint}", param=name[:100], code="unknown_parameter")


def _invalid(error: ValidationError, renamed: Mapping[str, str]) -> InvalidRequest:
    first = error.errors(include_url=False, include_context=False)[0]
    name, *inner = first["loc"]
    # pydantic puts the alternative of a union that failed ('bool', 'list[...]') into the path
    inner = [part for part in inner if isinstance(part, int) or (part.isidentifier() and part not in ("bool", "str"))]
    param = renamed.get(str(name), str(name)) + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in inner
    )
    if first["type"] == "missing":
        return InvalidRequest(f"Missing field '{param}'.", param=param, code="missing_required_parameter")
    return InvalidRequest(f"{param[:200]!r}: {first['msg']}.", param=param[:200], code="invalid_value")
