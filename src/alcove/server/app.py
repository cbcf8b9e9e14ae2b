"""Puts the HTTP application together: routes, errors, authorization, documentation, start-up and shut-down."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from alcove import __version__
from alcove.config.load import Loaded
from alcove.config.settings import Settings
from alcove.metrics import Metrics
from alcove.pipeline.pool import EXIT_DEAD_ENGINE, Pool
from alcove.server import errors, loop_lag, openapi
from alcove.server.access.authorization import DOCUMENTATION, PUBLIC, Authorization
from alcove.server.access.browsers import Browsers
from alcove.server.access.keys import KeyRing
from alcove.server.access.limits import Limits, quota_of
from alcove.server.access.quota import Quota
from alcove.server.access.reload import reloading
from alcove.server.lifespan import Lazy
from alcove.server.observe import Observe
from alcove.server.request_log import RequestLog
from alcove.server.routes import admin, generation, models, operations, tokens
from alcove.server.state import State
from alcove.server.traces import open_traces


def create_app(settings: Settings, load_again: Callable[[], Loaded] | None = None) -> Lazy:
    """The ASGI application for these settings. Nothing is built or loaded before ASGI start-up; what fails then is
    reported as `lifespan.startup.failed` with one line. At SIGHUP the keys of what `load_again` gives are taken."""
    return Lazy(lambda: _build(settings, load_again))


def _build(settings: Settings, load_again: Callable[[], Loaded] | None) -> FastAPI:
    state = State(settings, Metrics())
    keys = KeyRing(settings.auth)
    traces = open_traces(settings.server.otel_endpoint)
    log = RequestLog()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with nullcontext() if load_again is None else reloading(keys, load_again):
            state.pool = await Pool.open(settings, state.metrics)
            measuring = asyncio.create_task(loop_lag.measure(state.metrics.loop_lag))
            try:
                yield
            finally:
                measuring.cancel()
                log.flush()
                pool, state.pool = state.pool, None
                if not pool.dead:
                    await pool.close()
                if traces is not None:
                    await asyncio.to_thread(traces.close)
                if pool.dead:  # to close it could mean to wait for an engine that hangs
                    os._exit(EXIT_DEAD_ENGINE)

    documented = not settings.auth.keys if settings.server.docs is None else settings.server.docs
    app = FastAPI(
        title="alcove",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/openapi.json" if documented else None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # `traces.py` has the spans
    )
    app.state.alcove = state
    for routes in (generation, tokens, models, operations, admin):
        # as they are: a router that is included looks for its route twice, which costs a tenth of a refusal
        app.router.routes.extend(routes.router.routes)
    errors.install(app)
    openapi.install(app)
    # the last added is the outermost: an id for everything, CORS before keys (a preflight carries none)
    if (quota := quota_of(settings.auth)) != Quota():
        app.add_middleware(Limits, quota=quota)
    app.add_middleware(
        Authorization,
        keys=keys,
        public=PUBLIC | DOCUMENTATION if settings.server.docs else PUBLIC,
        loopback_only=settings.auth.loopback_only,
    )
    if settings.server.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.server.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "retry-after", "x-should-retry"],
        )
    app.add_middleware(Browsers, hosts=settings.server.allowed_hosts, origins=settings.server.cors_origins)
    app.add_middleware(Observe, metrics=state.metrics, log=log, traces=traces)
    return app
