"""From the bytes of a request's body to the request: parse strictly, sort out the fields, validate.

Every field ends in one of three ways: honoured, accepted without effect, or refused by name (`protocol/fields.py`).
Called by the routes, which have `jobs.py` make jobs of it; knows OpenAI's words, but no HTTP.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from alcove.errors import InvalidRequest
from alcove.protocol.fields import ACCEPTED, ALIASES, ENGINE_OPTIONS, REFUSED
from alcove.protocol.generation import GenerationRequest
from alcove.protocol.strict_json import fields_of

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
    request = _validated(fields, wire_type, renamed)
    if request.best_of is not None:
        _check_best_of(request, request.best_of)
    return request, extra


def read_object(body: bytes) -> dict[str, Any]:
    """The fields of a JSON object, those that are null left out; `InvalidRequest` when the body is none, or not
    strictly one (`strict_json.py`)."""
    return {name: value for name, value in fields_of(body).items() if value is not None}


def parse_plain(fields: Mapping[str, Any], wire_type: type[Body]) -> Body:
    """The validated body of an endpoint that generates nothing; `InvalidRequest` names what is wrong."""
    asked = {name: value for name, value in fields.items() if name not in ACCEPTED}
    for name in asked:
        if name not in wire_type.model_fields:
            raise _unknown(name, wire_type.model_fields)
    return _validated(asked, wire_type)


def _validated(fields: Mapping[str, Any], wire_type: type[Body], renamed: Mapping[str, str] | None = None) -> Body:
    """The fields as their type; `InvalidRequest` names the first that is wrong, by what `renamed` says it was called
    in the request."""
    try:
        return wire_type.model_validate(fields)
    except ValidationError as error:
        raise _invalid(error, renamed or {}) from None


def _check_best_of(request: GenerationRequest, best_of: int) -> None:
    if best_of < request.n:
        problem = f"should be at least 'n', which is {request.n}"
    elif best_of > request.n and request.stream:
        problem = "cannot be streamed: which completions are the best is known at their ends only"
    else:
        return
    raise InvalidRequest(f"'best_of': {problem}.", param="best_of", code="invalid_value")


def _without_aliases(fields: dict[str, Any]) -> dict[str, str]:
    """Give fields their own names; returns what each was called."""
    renamed: dict[str, str] = {}
    for alias, name in ALIASES.items():
        if alias not in fields:
            continue
        if name in fields:
            raise InvalidRequest(
                f"'{alias}' is another name of '{name}': send one of them.", param=alias, code="invalid_value"
            )
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
    raise _unknown(name, [*wire_type.model_fields, *ALIASES, *ENGINE_OPTIONS])


def _unknown(name: str, known: Iterable[str]) -> InvalidRequest:
    name = name[:100]  # the client's, and as long as the body
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return InvalidRequest(f"Unknown field {name!r}.{hint}", param=name, code="unknown_parameter")


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
