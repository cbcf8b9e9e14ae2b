"""`/v1/completions` and `/v1/chat/completions`, with their older and shorter paths."""

from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from alcove.protocol.chat import ChatRequest
from alcove.protocol.completions import CompletionRequest
from alcove.protocol.jobs import chat_jobs, completion_jobs
from alcove.protocol.render import ChatRenderer, CompletionRenderer
from alcove.protocol.request import parse
from alcove.server.body import parsed
from alcove.server.respond import Answer
from alcove.server.routes.direct import Direct
from alcove.server.state import Served, State

router = APIRouter(route_class=Direct)


@router.post("/v1/completions")
@router.post("/completions", include_in_schema=False)
async def create_completion(request: Request, state: Served) -> Response:
    """Complete one prompt or several."""
    return await _complete(request, state, engine=None)


@router.post("/v1/engines/{engine:path}/completions")
async def create_engine_completion(request: Request, state: Served, engine: str) -> Response:
    """Complete with the model that the path names, as OpenAI's first API did."""
    return await _complete(request, state, engine)


@router.post("/v1/chat/completions")
@router.post("/chat/completions", include_in_schema=False)
async def create_chat_completion(request: Request, state: Served) -> Response:
    """Answer a chat."""
    parse_this = partial(parse, wire_type=ChatRequest)
    wire, extra = await parsed(request, state.settings.server.max_body_bytes, parse_this)
    model = state.models.get(wire.model)
    model.need_room()
    events = partial(model.answer, chat_jobs(wire, extra))
    usage = wire.stream_options is not None and wire.stream_options.include_usage
    renderer = ChatRenderer(model.name, wire.n, logprobs=wire.logprobs, token_ids=wire.return_token_ids)
    return Answer(events, renderer, stream=wire.stream, include_usage=usage)


async def _complete(request: Request, state: State, engine: str | None) -> Response:
    parse_this = partial(parse, wire_type=CompletionRequest)
    wire, extra = await parsed(request, state.settings.server.max_body_bytes, parse_this)
    model = state.models.get(engine or wire.model)
    model.need_room()
    events = partial(model.answer, completion_jobs(wire, extra))
    usage = wire.stream_options is not None and wire.stream_options.include_usage
    renderer = CompletionRenderer(
        model.name, wire.n, logprobs=wire.logprobs is not None, token_ids=wire.return_token_ids
    )
    return Answer(events, renderer, stream=wire.stream, include_usage=usage)
