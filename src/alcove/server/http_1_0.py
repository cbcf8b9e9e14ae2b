"""An answer without a length, for clients that do not know chunks: it ends where the connection does.

Laid around the application by `http_protocol.py` for requests of HTTP/1.0, to which uvicorn would send chunks.
"""

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send


def until_closed(app: ASGIApp, cycle: Any) -> ASGIApp:
    """The application, whose answers `cycle` (uvicorn's, of this one request) sends as they are."""

    async def unchunked(scope: Scope, receive: Receive, send: Send) -> None:
        has_length = False

        async def send_unchunked(message: Message) -> None:
            nonlocal has_length
            if message["type"] == "http.response.start":
                has_length = any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
                if not has_length:
                    cycle.chunked_encoding = False
            elif not has_length:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_unchunked)

    return unchunked
