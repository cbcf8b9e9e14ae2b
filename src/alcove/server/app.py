"""Puts the HTTP application together: routes, errors, authorization, documentation, start-up and shut-down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from alcove import __version__
from alcove.config.settings import Settings
from alcove.metrics import Metrics
from alcove.pipeline.pool import Pool
from alcove.server import errors, openapi
from alcove.server.auth import Authorization
from alcove.server.lifespan import Lazy
from alcove.server.request_id import RequestId
from alcove.server.routes import generation, models, operations, tokens
from alcove.server.state import State


def create_app(settings: Settings) -> Lazy:
    """The ASGI application for these settings. Nothing is built or loaded before ASGI start-up; what fails then is
    reported as `lifespan.startup.failed` with one line."""
    return Lazy(lambda: _build(settings))


def _build(settings: Settings) -> FastAPI:
    state = State(settings, Metrics())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state.pool = await Pool.open(settings, state.metrics)
        try:
            yield
        finally:
            pool, state.pool = state.pool, None
            await asyncio.to_thread(pool.close)

    documented = settings.server.docs
    app = FastAPI(
        title="alcove",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/openapi.json" if documented else None,
        redirect_slashes=False,
    )
    app.state.alcove = state
    for routes in (generation, tokens, models, operations):
        app.include_router(routes.router)
    errors.install(app)
    openapi.install(app)
    # the last added is the outermost: an id for everything, CORS before keys (a preflight carries none)
    app.add_middleware(Authorization, settings=settings.auth)
    if settings.server.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.server.cors_origins, allow_methods=["*"], allow_headers=["*"]
        )
    app.add_middleware(RequestId)
    return app
