"""Streams that have nothing to say for long say so, and nothing else changes."""

import json

import pytest

from alcove.config.settings import ModelSettings, Settings
from alcove.server import respond
from alcove.server.app import create_app

from .test_observe import ask, started

SLOW = ModelSettings(name="slow", source="builtin:echo", engine="echo", engine_options={"delay_s": 0.25})
ASKED = {"model": "slow", "prompt": "hello", "max_tokens": 2, "stream": True}


def texts(body: bytes) -> list[str]:
    events = [event for event in body.decode().split("\n\n") if event.startswith("data: {")]
    return [choice["text"] for event in events for choice in json.loads(event[6:])["choices"]]


async def test_a_silent_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(Settings(models=(SLOW,)))
    async with started(app):
        _, _, usual = await ask(app, "/v1/completions", ASKED)
        monkeypatch.setattr(respond, "QUIET_S", 0.1)
        status, _, kept = await ask(app, "/v1/completions", ASKED)
    assert (status, b"ping" in usual) == (200, False)
    assert kept.startswith(b": ping\n\ndata: ")
    assert kept.index(b"data: ") < kept.rindex(b": ping\n\n") < kept.rindex(b"data: ")
    assert kept.endswith(b"data: [DONE]\n\n")
    assert texts(kept) == texts(usual)


async def test_what_fails_behind_the_first_silence_is_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(respond, "QUIET_S", 0.1)
    overdue = ModelSettings(**{**SLOW.model_dump(), "first_token_timeout_s": 0.2})
    app = create_app(Settings(models=(overdue,)))
    async with started(app):
        status, _, body = await ask(app, "/v1/completions", ASKED)
        assert status == 200
        events = [event for event in body.split(b"\n\n") if event and event != b": ping"]
        assert [json.loads(event.removeprefix(b"data: "))["error"]["code"] for event in events] == ["timeout"]
        status, _, body = await ask(app, "/v1/completions", {**ASKED, "stream": False})
        assert (status, json.loads(body)["error"]["code"]) == (504, "timeout")
