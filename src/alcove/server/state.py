"""What the routes share: made by `server/app.py` at start-up, reached through `Served`."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from alcove.config.settings import Settings
from alcove.errors import ShuttingDown
from alcove.metrics import Metrics
from alcove.pipeline.pool import Pool


@dataclass(slots=True)
class State:
    """One server's state."""

    settings: Settings
    metrics: Metrics
    pool: Pool | None = None
    """The loaded models; None before start-up and after shut-down."""

    @property
    def models(self) -> Pool:
        """The loaded models; raises `ShuttingDown` when there are none any more."""
        if self.pool is None:
            raise ShuttingDown("The server is not ready.")
        return self.pool


def state_of(request: Request) -> State:
    """The state of the server that the request has come to."""
    return cast(State, request.app.state.alcove)


async def _state(request: Request) -> State:  # FastAPI would run a plain function in a thread
    return state_of(request)


Served = Annotated[State, Depends(_state)]
"""A route's parameter of this type is the server's state."""
