"""OpenAI's wire type of an error: all four keys are always there."""

import msgspec


class ErrorObject(msgspec.Struct, frozen=True):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    """The field at fault, as a path into the body."""
    code: str | None
    """For machines."""


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every answer that is not a success."""

    error: ErrorObject
