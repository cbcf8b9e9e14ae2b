"""OpenAI's wire types of `/v1/models`, and those of the older `/v1/engines`."""

from typing import Literal

import msgspec


class ModelObject(msgspec.Struct, frozen=True):
    """A served model."""

    id: str
    created: int
    """When it was loaded, in seconds since 1970."""
    object: Literal["model"] = "model"
    owned_by: str = "alcove"


class ModelList(msgspec.Struct, frozen=True):
    """All served models."""

    data: list[ModelObject]
    object: Literal["list"] = "list"


class EngineObject(msgspec.Struct, frozen=True):
    """A served model, as transformers-openai-api and OpenAI's first API named it."""

    id: str
    created: int | None
    ready: bool = True
    object: Literal["engine"] = "engine"
    owner: str = "alcove"
    permissions: None = None


class EngineList(msgspec.Struct, frozen=True):
    """All served models, in the older form."""

    data: list[EngineObject]
    object: Literal["list"] = "list"
