"""`/v1/tokenize`, `/v1/detokenize` and `/v1/score`, the first two also where vLLM has them."""

from functools import partial

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from alcove.jobs import Job
from alcove.protocol.jobs import chat_of
from alcove.protocol.request import parse_plain, read_object
from alcove.protocol.scoring import ScoreRenderer, score_jobs
from alcove.protocol.tokens import Detokenized, DetokenizeRequest, ScoreRequest, TokenizeChat, TokenizeText, Tokens
from alcove.server.body import parsed
from alcove.server.respond import Answer
from alcove.server.routes.direct import Direct
from alcove.server.state import Served

router = APIRouter(route_class=Direct)


@router.post("/v1/tokenize")
@router.post("/tokenize", include_in_schema=False)
async def tokenize(request: Request, state: Served) -> Response:
    """The tokens of a text, or of what a chat becomes."""
    fields = await parsed(request, state.settings.server.max_body_bytes, read_object)
    chat = "messages" in fields
    wire = parse_plain(fields, TokenizeChat) if chat else parse_plain(fields, TokenizeText)
    job = Job(
        prompt=chat_of(wire) if isinstance(wire, TokenizeChat) else wire.prompt,
        param="messages" if chat else "prompt",
        special=wire.add_special_tokens,
        source_lang=wire.source_lang,
        target_lang=wire.target_lang,
    )
    async with state.models.get(wire.model).lease() as model:
        ids = await model.tokenize(job)
        strings = model.token_strings(ids) if wire.return_token_strs else None
        return _json(Tokens(len(ids), model.max_tokens, list(ids), strings))


@router.post("/v1/detokenize")
@router.post("/detokenize", include_in_schema=False)
async def detokenize(request: Request, state: Served) -> Response:
    """The text of tokens."""
    fields = await parsed(request, state.settings.server.max_body_bytes, read_object)
    wire = parse_plain(fields, DetokenizeRequest)
    async with state.models.get(wire.model).lease() as model:
        return _json(Detokenized(await model.detokenize(wire.tokens)))


@router.post("/v1/score")
async def score(request: Request, state: Served) -> Response:
    """How probable texts are after others, or as their answers."""
    fields = await parsed(request, state.settings.server.max_body_bytes, read_object)
    wire = parse_plain(fields, ScoreRequest)
    model = state.models.get(wire.model)
    events = partial(model.answer, score_jobs(wire))
    return Answer(events, ScoreRenderer(model.name, wire), stream=False, include_usage=False)


def _json(body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
