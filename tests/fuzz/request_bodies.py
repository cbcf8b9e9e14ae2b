"""Feeds the parsing of requests what atheris makes of its coverage: `make fuzz`, or
`python -m tests.fuzz.request_bodies -max_total_time=180 CORPUS`. Anything but a job or a clear refusal is a crash.
"""

import sys
from typing import Any

import atheris

with atheris.instrument_imports(include=["alcove.protocol"]):
    from alcove.protocol.chat import ChatRequest
    from alcove.protocol.completions import CompletionRequest
    from alcove.protocol.jobs import chat_jobs, completion_jobs
    from alcove.protocol.request import parse, parse_plain, read_object
    from alcove.protocol.scoring import score_jobs
    from alcove.protocol.tokens import DetokenizeRequest, ScoreRequest, TokenizeChat, TokenizeText

from alcove.errors import InvalidRequest


def complete(body: bytes) -> Any:
    return completion_jobs(*parse(body, CompletionRequest))


def chat(body: bytes) -> Any:
    return chat_jobs(*parse(body, ChatRequest))


def score(body: bytes) -> Any:
    return score_jobs(parse_plain(read_object(body), ScoreRequest))


def tokens(body: bytes) -> Any:
    fields = read_object(body)
    kind = (TokenizeText, TokenizeChat, DetokenizeRequest)[len(body) % 3]
    return parse_plain(fields, kind)


READERS = (complete, chat, score, tokens)


def one(data: bytes) -> None:
    """The first byte chooses the endpoint, the rest is the body."""
    if not data:
        return
    try:
        READERS[data[0] % len(READERS)](data[1:])
    except InvalidRequest as error:
        said = str(error)
        assert said, "a refusal without a reason"
        assert "\n" not in said, said


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
