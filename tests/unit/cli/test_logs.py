"""Lines of the log: an event is a line whatever is in it, and no exception tells what a request has said."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcove.cli.log_formats import JsonLines, TextLines
from alcove.errors import EngineFailure

TEXT = TextLines(colour=False, names=True)
SECRET = "CANARY-7f3a"


def record(message: str, name: str = "alcove.server.errors", error: BaseException | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord(name, logging.ERROR, __file__, 1, "%s", (message,), info)


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:  # noqa: BLE001 - whatever it was given
        return caught


@given(st.text() | st.text("\r\n\x1b\x00\x85\u2028\u2029\x7f\x9b\ud800"))
def test_an_event_is_a_line(message: str) -> None:
    line = JsonLines().format(record(message))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == message
    assert TEXT.format(record(message)).isprintable()


def test_a_traceback_is_inside_its_event() -> None:
    error = raised(EngineFailure("run 1 failed"), raised(ValueError("a\nb")))
    line = JsonLines().format(record("Failed", error=error))
    assert line.isprintable()
    told = json.loads(line)["exception"]
    assert told.index("ValueError") < told.index("alcove.errors.EngineFailure: run 1 failed")
    assert "raise error from cause" in told
    first, *rest = TEXT.format(record("Failed", error=error)).split("\n")
    assert first.endswith("alcove.server.errors: Failed")
    assert all(part.startswith("  | ") for part in rest)


@pytest.mark.parametrize("formatter", [JsonLines(), TEXT])
def test_what_an_exception_says_is_left_out_where_it_may_hold_a_prompt(formatter: logging.Formatter) -> None:
    inner = raised(KeyError(SECRET))
    outer = raised(ExceptionGroup(SECRET, [raised(ValueError(SECRET))]), inner)
    for name in ("alcove.server.errors", "alcove.pipeline.model", "uvicorn.error", "asyncio"):
        told = formatter.format(record("Failed", name, outer))
        assert SECRET not in told
        assert {kind for kind in ("KeyError", "ExceptionGroup", "ValueError") if kind in told} == {
            "KeyError",
            "ExceptionGroup",
            "ValueError",
        }
    assert "out of memory" in formatter.format(
        record("Failed", "alcove.pipeline.batcher", raised(RuntimeError("out of memory")))
    )


def test_colour_only_where_it_is_asked_for() -> None:
    assert "\x1b[31m" in TextLines(colour=True, names=False).format(record("x"))
    assert "\x1b" not in TEXT.format(record("x"))
