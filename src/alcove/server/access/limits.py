"""429 for who has used enough: ASGI middleware behind `authorization.py`, which says who it is.

Only POST requests count, and none to `/admin`: looking at models and metrics costs nothing, and must go on. Tokens are
those that the request's record has when it is over, however it ends.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alcove.config.settings import AuthSettings
from alcove.metrics.record import current
from alcove.server import errors
from alcove.server.access.authorization import is_admin
from alcove.server.access.quota import Account, Quota


def quota_of(auth: AuthSettings) -> Quota:
    """What each key may use."""
    return Quota(
        concurrency=auth.key_concurrency, requests=auth.key_requests_per_minute, tokens=auth.key_tokens_per_minute
    )


class Limits:
    """Counts what each caller uses, by the name of its key; where no keys are needed all callers are one."""

    def __init__(self, app: ASGIApp, quota: Quota, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._quota = quota
        self._clock = clock
        self._accounts: dict[str | None, Account] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count it, or refuse it with its body unread."""
        record = current.get()
        if record is None or record.method != "POST" or is_admin(scope):
            await self._app(scope, receive, send)
            return
        if record.caller not in self._accounts:
            self._accounts[record.caller] = Account(self._quota, self._clock)
        account = self._accounts[record.caller]
        if (refused := account.begin()) is not None:
            message = f"A key may have {refused.reason} here. Try again in {refused.retry_after_s} s."
            await errors.response(errors.RateLimited(message, refused.retry_after_s))(scope, receive, send)
            return
        with ExitStack() as request:
            request.callback(lambda: account.end(record.prompt_tokens + record.completion_tokens))

            async def send_and_count(message: Message) -> None:
                if message["type"] == "http.response.body" and not message.get("more_body", False):
                    request.close()  # before the client sees the end, so that its next request finds it counted
                await send(message)

            await self._app(scope, receive, send_and_count)
