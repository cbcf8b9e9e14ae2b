"""A route whose endpoint is called as it is: FastAPI finds and documents it, and no more.

An endpoint takes `request`, `state`, and the parameters of its path as texts. FastAPI would work these out anew for
each request, at a fifth of what refusing one costs.
"""

from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from alcove.server.state import state_of


class Direct(APIRoute):
    """What `APIRouter` is given as its `route_class`."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """FastAPI's place to put a handler of one's own."""
        endpoint = self.endpoint

        async def handle(request: Request) -> Response:
            answer: Response = await endpoint(request=request, state=state_of(request), **request.path_params)
            return answer

        return handle
