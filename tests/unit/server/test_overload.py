"""Many requests in one moment: those for which there is no room are refused before anything is done for them."""

import asyncio
import logging
import threading
from typing import Any

import pytest

from alcove.config.settings import ModelSettings, Settings
from alcove.pipeline.prepare import Preparer
from alcove.server.app import create_app
from alcove.server.request_log import Line
from tests.unit.server.test_observe import ask, started


async def test_no_more_are_prepared_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "alcove.requests")
    prepared: list[Any] = []
    prepare, go_on = Preparer.prepare, threading.Event()

    def noted(self: Preparer, jobs: Any) -> Any:
        prepared.append(jobs)
        assert go_on.wait(30)
        return prepare(self, jobs)

    monkeypatch.setattr(Preparer, "prepare", noted)
    model = ModelSettings(
        name="echo",
        source="builtin:echo",
        engine="echo",
        workers=2,
        max_batch_size=1,
        max_queue=3,
    )
    app = create_app(Settings(models=(model,)))
    async with started(app):
        question = {"prompt": "hello", "max_tokens": 5}
        asked = [asyncio.create_task(ask(app, "/v1/completions", question)) for _ in range(50)]
        for _ in range(500):
            if sum(task.done() for task in asked) == 45:
                break
            await asyncio.sleep(0.01)
        assert (await ask(app, "/v1/completions", question))[0] == 503, "one who comes later"
        go_on.set()
        answers = await asyncio.gather(*asked)
        assert sorted(status for status, _, _ in answers) == [200] * 5 + [503] * 45
        assert len(prepared) == 5
        refused = [(headers["retry-after"], body) for status, headers, body in answers if status == 503]
        assert all(after == "1" and b"5 requests are waiting" in body for after, body in refused)
        # the places that were promised are free again, those of bad requests too
        bad = {"prompt": "x" * 9000}
        assert {status for status, _, _ in [await ask(app, "/v1/completions", bad) for _ in range(6)]} == {400}
        assert (await ask(app, "/v1/completions", question))[0] == 200
    lines = [line.msg.fields() for line in caplog.records if isinstance(line.msg, Line)]
    refused_lines = [line for line in lines if line["status"] == 503]
    assert len(refused_lines) == 46
    assert {line.get("model") for line in refused_lines} == {"echo"}
