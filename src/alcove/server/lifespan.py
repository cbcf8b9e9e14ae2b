"""An ASGI application that is made when the server starts, and says in one line why it cannot start."""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alcove.errors import AlcoveError


class Lazy:
    """Makes the real application at start-up (the lifespan's), so that importing it reads and loads nothing."""

    def __init__(self, make_app: Callable[[], ASGIApp]) -> None:
        self._make_app = make_app
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward to the application; make it first when this is the start-up."""
        if scope["type"] != "lifespan":
            assert self._app is not None, "the ASGI server must run the lifespan protocol"
            await self._app(scope, receive, send)
            return

        async def send_in_one_line(message: Message) -> None:
            # Starlette sends the whole traceback as the reason; the error itself follows by being raised
            if message["type"] != "lifespan.startup.failed":
                await send(message)

        try:
            self._app = self._make_app()
            await self._app(scope, receive, send_in_one_line)
        except AlcoveError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
