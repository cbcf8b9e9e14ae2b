"""`/admin/models`: which models are in memory, and their loading and unloading by hand.

There only with admin keys (`server/access/`), which are other keys than those of clients.
"""

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from alcove.pipeline.slot import Slot
from alcove.protocol.models import ManagedList, ManagedModel
from alcove.server.state import Served

router = APIRouter(prefix="/admin/models")


@router.get("")
async def list_models(state: Served) -> Response:
    """All models, with their memory and their users."""
    return _json(ManagedList([_managed(slot) for slot in state.models]))


@router.post("/{model:path}/load")
async def load(state: Served, model: str) -> Response:
    """Bring a model into memory, and answer when it is there."""
    slot = state.models.get(model)
    await slot.load()
    return _json(_managed(slot))


@router.post("/{model:path}/unload")
async def unload(state: Served, model: str) -> Response:
    """Take a model out of memory when its running requests have ended; the next request loads it again."""
    slot = state.models.get(model)
    await slot.unload()
    return _json(_managed(slot))


@router.post("/{model:path}/reload")
async def reload(state: Served, model: str) -> Response:
    """Read a model's folder anew; the old one answers until the new one can."""
    slot = state.models.get(model)
    await slot.reload()
    return _json(_managed(slot))


def _managed(slot: Slot) -> ManagedModel:
    return ManagedModel(
        id=slot.name,
        state=slot.told,
        reason=slot.trouble or slot.reason,
        memory_bytes=slot.bytes,
        running_requests=0 if slot.resident is None else slot.resident.users,
    )


def _json(body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
