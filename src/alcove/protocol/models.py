"""The wire types that tell of models: OpenAI's of `/v1/models`, those of the older `/v1/engines`, ours of `/admin`."""

from typing import Literal

import msgspec


class ModelObject(msgspec.Struct, frozen=True):
    """A served model."""

    id: str
    created: int
    """When the server began to serve it, in seconds since 1970."""
    state: str
    """`ready`, `loading`, `absent` (a request loads it), `unloading` or `failed`."""
    kind: str | None
    """`seq2seq` or `causal`; null, like the two below, for a model whose folder cannot be read."""
    engine: str | None
    max_model_len: int | None
    """Most tokens that it takes, as vLLM names it: a prompt's, a causal model's answer counted."""
    aliases: tuple[str, ...]
    object: Literal["model"] = "model"
    owned_by: str = "alcove"


class ModelList(msgspec.Struct, frozen=True):
    """All served models."""

    data: list[ModelObject]
    object: Literal["list"] = "list"


class ManagedModel(msgspec.Struct, frozen=True):
    """A model, for whoever manages the server."""

    id: str
    state: str
    reason: str | None
    """Why it could not be loaded."""
    memory_bytes: int
    """Memory that it takes: expected, or measured when it was loaded, whichever is more."""
    running_requests: int


class ManagedList(msgspec.Struct, frozen=True):
    """All models, for whoever manages the server."""

    data: list[ManagedModel]
    object: Literal["list"] = "list"


class EngineObject(msgspec.Struct, frozen=True):
    """A served model, as transformers-openai-api and OpenAI's first API named it."""

    id: str
    created: int
    """When the server began to serve it, in seconds since 1970."""
    ready: bool
    """Whether it can answer, or be loaded when it is asked for."""
    object: Literal["engine"] = "engine"
    owner: str = "alcove"
    permissions: None = None


class EngineList(msgspec.Struct, frozen=True):
    """All served models, in the older form."""

    data: list[EngineObject]
    object: Literal["list"] = "list"
