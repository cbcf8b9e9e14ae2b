"""What is served: `/v1/models`, and `/v1/engines` for older clients."""

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from alcove.pipeline.slot import Slot
from alcove.protocol.models import EngineList, EngineObject, ModelList, ModelObject
from alcove.server.state import Served

router = APIRouter()


@router.get("/v1/models")
async def list_models(state: Served) -> Response:
    """All models that are served."""
    return _json(ModelList([_model(slot) for slot in state.models]))


@router.get("/v1/models/{model:path}")
async def retrieve_model(state: Served, model: str) -> Response:
    """One model, by its name or an alias."""
    return _json(_model(state.models.get(model)))


@router.get("/v1/engines")
async def list_engines(state: Served) -> Response:
    """All models, as OpenAI's first API listed them."""
    return _json(EngineList([_engine(slot) for slot in state.models]))


@router.get("/v1/engines/{engine:path}")
async def retrieve_engine(state: Served, engine: str) -> Response:
    """One model, in the older form."""
    return _json(_engine(state.models.get(engine)))


def _model(slot: Slot) -> ModelObject:
    about = slot.about
    return ModelObject(
        id=slot.name,
        created=slot.created,
        state=slot.told,
        kind=about.kind if about else None,
        engine=about.engine if about else None,
        max_model_len=about.context if about else None,
        aliases=slot.settings.aliases,
    )


def _engine(slot: Slot) -> EngineObject:
    return EngineObject(slot.name, slot.created, slot.told != "failed")


def _json(body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
