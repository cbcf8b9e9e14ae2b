"""`alcove serve`: settings -> a listening socket -> uvicorn, until a signal. Called by `cli/commands`."""

import asyncio
import logging
import math
import os
import signal
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, cast

import uvicorn

from alcove.cli.listen import bind, connection_limit, url
from alcove.cli.logs import configure, configure_process
from alcove.config.environment import as_environment
from alcove.config.load import load
from alcove.config.settings import Settings
from alcove.errors import ModelLoadError
from alcove.machine import share_arenas
from alcove.server.access.reload import at_hang_up
from alcove.server.http_deadlines import Deadlines
from alcove.server.http_protocol import BoundedHttp

log = logging.getLogger(__name__)

_TICKS_A_SECOND = 10
"""How often uvicorn's server asks whether there is something to do."""


def serve(what: str | None, flags: Mapping[str, Any], *, reload: bool) -> None:
    """Serve until Ctrl-C or SIGTERM; a second one ends the process at once.

    Raises `ConfigurationError`, or `ModelLoadError` with the reason when start-up fails.
    """
    share_arenas()
    load_again = partial(load, what, os.environ, flags, Path.cwd())
    loaded = load_again()
    settings = loaded.settings
    configure(settings.server.log_level, loaded.warnings, settings.server.log_format)
    configure_process(settings.server.log_level)
    # Bound before the models are loaded: a port that is taken is found out at once.
    sockets = bind(settings.server.host, settings.server.port)
    if reload:
        _serve_reloading(settings, what, flags, sockets)
        return
    from alcove.server.app import create_app

    server = _Server(_uvicorn_config(create_app(settings, load_again), settings), _deadlines(settings))
    errors = _UvicornErrors(server)
    logging.getLogger("uvicorn.error").addFilter(errors)
    try:
        server.run(sockets)
    except SystemExit:
        if errors.startup_failure is None:
            raise
        raise ModelLoadError(errors.startup_failure) from None


def _uvicorn_config(app: Any, settings: Settings, **reloading: Any) -> uvicorn.Config:
    server = settings.server
    return uvicorn.Config(
        app,
        http=BoundedHttp,  # h11 takes three times the processor time, and httptools alone has no limits
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # it would write down paths as they come; `server/request_log.py` has a line a request
        proxy_headers=False,
        server_header=False,
        limit_concurrency=connection_limit(server.max_connections),
        timeout_keep_alive=server.keep_alive_timeout_s,
        # Without it a half-sent request keeps the process alive for ever (uvicorn 0.54).
        timeout_graceful_shutdown=math.ceil(server.drain_timeout_s),
        **reloading,
    )


def _deadlines(settings: Settings) -> Deadlines:
    server = settings.server
    return Deadlines(server.header_timeout_s, server.body_timeout_s, server.send_timeout_s)


class _Server(uvicorn.Server):
    """uvicorn's server, which says where it listens, ends connections that keep it waiting, and whose exit code is 0
    when it is asked to stop."""

    def __init__(self, config: uvicorn.Config, deadlines: Deadlines) -> None:
        super().__init__(config)
        self._deadlines = deadlines

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_A_SECOND == 0:
            now = asyncio.get_running_loop().time()
            for connection in cast("set[BoundedHttp]", self.server_state.connections).copy():
                connection.sweep(now, self._deadlines)
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            log.info("Listening on %s (Ctrl-C stops)", url(sockets or []))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn's own would raise the signal once more at the end, and wait for what the first Ctrl-C left running.
        if self.should_exit:
            os._exit(128 + sig)
        if not self.started:
            os._exit(0)  # nothing is served yet, and a model that is being loaded cannot be interrupted
        log.info(
            "Stopping: requests have %d s to end (Ctrl-C again stops at once)", self.config.timeout_graceful_shutdown
        )
        self.should_exit = True


class _UvicornErrors(logging.Filter):
    """Takes out of uvicorn's log what is said better elsewhere: the reason of a failed start-up, which it gives in
    two lines, and a traceback for each request that is cancelled when the time to end is over."""

    def __init__(self, server: uvicorn.Server) -> None:
        super().__init__()
        self.startup_failure: str | None = None
        self._server = server

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record goes on to the log."""
        if record.exc_info:
            return not isinstance(record.exc_info[1], asyncio.CancelledError)
        if self._server.started or record.levelno < logging.ERROR:
            return True
        if (message := record.getMessage()) != "Application startup failed. Exiting.":
            self.startup_failure = message
        return False


def _serve_reloading(
    settings: Settings, what: str | None, flags: Mapping[str, Any], sockets: list[socket.socket]
) -> None:
    """Run `alcove.asgi:app` in a child process, which is made anew when a file of the package changes."""
    from uvicorn.supervisors import ChangeReload

    os.environ |= as_environment(flags) | ({"ALCOVE_CONFIG": what} if what else {})
    package = Path(__file__).parent.parent
    config = _uvicorn_config("alcove.asgi:app", settings, reload=True, reload_dirs=[str(package)])
    reloader = ChangeReload(config, target=_Server(config, _deadlines(settings)).run, sockets=sockets)
    # The keys are the child's.
    pass_on = at_hang_up(lambda: os.kill(cast(int, reloader.process.pid), signal.SIGHUP))
    signal.signal(signal.SIGHUP, lambda *_: pass_on())
    reloader.run()
