"""How the server does: health and metrics."""

import msgspec
from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from alcove.errors import ModelUnavailable
from alcove.server.state import Served

router = APIRouter()


@router.get("/health")
async def ready(state: Served) -> Response:
    """200 when requests can be answered, 503 otherwise: nothing is loaded yet, or nothing could be."""
    if not state.models.ready:
        raise ModelUnavailable("No model can answer, or one hangs; the server's log says which.")
    return Response(b'{"status":"ready"}', media_type="application/json")


@router.get("/health/live")
async def live() -> Response:
    """200 as long as the process answers at all."""
    return Response(b'{"status":"live"}', media_type="application/json")


@router.get("/metrics")
async def prometheus(state: Served) -> Response:
    """Counters, times and states, in Prometheus' text format."""
    for slot in state.models:
        state.metrics.model_state(slot.name, slot.told, slot.bytes)
    return Response(state.metrics.as_text(), media_type="text/plain; version=0.0.4")


@router.get("/v1/metrics")
async def json_metrics(state: Served) -> Response:
    """The same tokens and calls, in the JSON of transformers-openai-api."""
    if not state.settings.server.json_metrics:
        raise HTTPException(404)
    return Response(msgspec.json.encode(state.metrics.as_json()), media_type="application/json")
