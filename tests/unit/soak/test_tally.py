"""The judge of `make soak` has to see what is wrong: replies of every kind, told apart."""

import pytest

from tests.soak.client import Reply
from tests.soak.endings import read
from tests.soak.tally import Tally

ERROR = b'{"error":{"message":"x","type":"server_error","param":null,"code":"internal_error"}}'
WHOLE = b'{"choices":[{"text":"abc"}],"usage":{}}'
DONE = b"data: [DONE]\n\n"


def chunk(text: str) -> bytes:
    return b'data: {"choices":[{"text":"%s"}]}\n\n' % text.encode()


def stream(*pieces: bytes, complete: bool = True) -> Reply:
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    return Reply(0, status=200, headers=headers, pieces=list(pieces), complete=complete)


def whole(status: int, body: bytes, *, complete: bool = True) -> Reply:
    return Reply(0, status=status, headers={"content-type": "application/json"}, pieces=[body], complete=complete)


CASES = {
    "whole": (whole(200, WHOLE), "exact"),
    "stream": (stream(chunk("ab"), chunk("c"), DONE), "exact"),
    "error": (whole(500, ERROR), "errors"),
    "error in a stream": (stream(chunk("ab"), b"data: %b\n\n" % ERROR), "errors"),
    "foreign text": (whole(200, WHOLE.replace(b"abc", b"abd")), "wrong"),
    "text that is too short": (stream(chunk("ab"), DONE), "wrong"),
    "text that is too long": (stream(chunk("abc"), chunk("d"), DONE), "wrong"),
    "foreign text before an error": (stream(chunk("x"), b"data: %b\n\n" % ERROR), "wrong"),
    "foreign text before a cut": (stream(chunk("x"), complete=False), "wrong"),
    "cut": (stream(chunk("ab"), complete=False), "unshaped"),
    "cut whole": (whole(200, WHOLE[:9], complete=False), "unshaped"),
    "nothing": (Reply(0), "unshaped"),
    "quiet end": (stream(chunk("abc")), "unshaped"),
    "[DONE] after an error": (stream(b"data: %b\n\n" % ERROR, DONE), "unshaped"),
    "event after [DONE]": (stream(chunk("abc"), DONE, chunk("")), "unshaped"),
    "half an event": (stream(chunk("abc"), DONE, b"data"), "unshaped"),
    "no JSON": (whole(500, b"Internal Server Error"), "unshaped"),
    "an error that is not OpenAI's": (whole(500, b'{"detail":"x"}'), "unshaped"),
    "an error that may not be": (whole(503, ERROR.replace(b"internal_error", b"shutting_down")), "unshaped"),
    "too late": (Reply(0, late=True), "unshaped"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_ending_is_counted_as_what_it_is(name: str) -> None:
    reply, expected = CASES[name]
    tally = Tally(errors=("internal_error",))
    tally.add(read(reply), "abc")
    counted = {
        "exact": tally.exact,
        "errors": tally.errors.total(),
        "wrong": len(tally.wrong),
        "unshaped": len(tally.unshaped),
    }
    assert counted == {**dict.fromkeys(counted, 0), expected: 1}, str(tally)
    assert tally.requests == 1


def test_only_a_lossy_line_may_cut_and_only_who_left_has_left() -> None:
    tally = Tally()
    tally.add(read(stream(chunk("ab"), complete=False)), "abc", lossy=True)
    tally.add(read(Reply(0)), "abc", left=True)
    assert (tally.cut, tally.left, tally.wrong, tally.unshaped) == (1, 1, [], [])
