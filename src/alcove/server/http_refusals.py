"""What the HTTP protocol itself refuses, before there is a request for the application -> the bytes of the answer.

Made and sent by `http_protocol.py`; what the application refuses is in `errors.py`.
"""

from http import HTTPStatus
from typing import NamedTuple

import msgspec

from alcove.protocol.errors import ErrorBody, ErrorObject

MAX_HEAD_BYTES = 32 * 1024
"""Request line and headers together; also any other bytes in a row that are no body: trailers, a chunk's extensions."""
MAX_HEADERS = 100
MAX_PIPELINED = 16
"""Requests that wait on a connection for the answer to the one before."""


REFUSED = "refused"
"""Under this name of the lifespan's state is whoever wants to be told of refusals: `observe.py`."""


class Refusal(NamedTuple):
    """Why a connection is closed."""

    message: str
    status: HTTPStatus = HTTPStatus.BAD_REQUEST
    code: str = "malformed_request"
    type: str = "invalid_request_error"
    header: str = ""
    """One more header of the answer, with the end of its line."""

    def answer(self, request_id: str) -> bytes:
        """A whole HTTP answer with OpenAI's error object."""
        body = msgspec.json.encode(ErrorBody(ErrorObject(self.message, self.type, None, self.code)))
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {request_id}\r\n{self.header}"
            f"connection: close\r\n\r\n"
        )
        return head.encode() + body


MALFORMED = Refusal("This is not a valid HTTP/1.1 request.")
HOSTS = Refusal("A request of HTTP/1.1 has one Host header.")
CODINGS = Refusal("The only Transfer-Encoding that is read is 'chunked'.")
PIPELINED = Refusal(f"More than {MAX_PIPELINED} requests wait on this connection.")
TOO_LARGE = Refusal(
    f"The head of the request is over the limit of {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} headers.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "headers_too_large",
)
LATE_HEAD = Refusal(
    "The head of the request did not come in time.",
    HTTPStatus.REQUEST_TIMEOUT,
    "request_timeout",
    header="x-should-retry: false\r\n",  # or OpenAI's clients would send it twice more, as slowly
)
LATE_BODY = LATE_HEAD._replace(message="The body of the request did not come in time.")
FULL = Refusal(
    "The server has as many connections as it may have; try again later.",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "server_is_overloaded",
    "service_unavailable_error",
    "retry-after: 1\r\n",
)
REFUSALS = (MALFORMED, HOSTS, CODINGS, PIPELINED, TOO_LARGE, LATE_HEAD, LATE_BODY, FULL)
"""All there are."""
