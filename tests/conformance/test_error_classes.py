"""Each error as OpenAI's own client raises it, sync and async, whole and streamed; and which of them it sends again."""

import asyncio
import re
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai._base_client import BaseClient

from tests.serving import Server, running

ROOT = Path(__file__).parents[2]
KEY, ADMIN, BUSY = "sk-one-0123456789", "sk-admin-0123456789", "sk-busy-0123456789"
MODELS: dict[str, str] = {
    "echo": "default = true",
    "full": "engine_options = { delay_s = 0.1 }\nmax_queue = 0\nmax_batch_size = 1",
    "failing": "engine_options = { fail_after = 0 }",
    "dying": 'engine_options = { fail_after = 3, fault = "crash" }\nisolation = "process"',
    "failing-late": "engine_options = { fail_after = 3, delay_s = 0.02 }",
    "hungry": 'engine_options = { fail_after = 0, fault = "memory" }',
    "late": "engine_options = { delay_s = 1.0 }\nfirst_token_timeout_s = 0.1",
    "loading": 'load = "first_use"\nmax_queue = 0',
}
MODEL = '[[model]]\nname = "{}"\nsource = "builtin:echo"\nengine = "echo"\n{}\n'
CONFIGURATION = """
[server]
max_body_bytes = 4096
[auth]
key_concurrency = 1
[[model]]
name = "broken"
source = "./broken"
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request that fails, and how."""

    status: int
    raises: type[openai.APIStatusError]
    code: str | None
    param: str | None = None
    type: str = "invalid_request_error"
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of the request, besides model and prompt."""
    headers: Mapping[str, str | openai.Omit] = field(default_factory=dict)
    key: str = KEY
    base: str = "/v1"
    waits: tuple[int | None, ...] = ()
    """Before each time that the client sends the request again: seconds that the server says, or None where it says
    nothing and the client decides."""


def bad(param: str, code: str | None, **fields: Any) -> Case:
    return Case(status=400, raises=openai.BadRequestError, code=code, param=param, fields=fields)


def failing(status: int, code: str, model: str, retry_after_s: int | None = None, prompt: str = "hi") -> Case:
    kind = "service_unavailable_error" if status == 503 else "server_error"
    fields, waits = {"model": model, "prompt": prompt}, (retry_after_s, retry_after_s)
    return Case(status=status, raises=openai.InternalServerError, code=code, type=kind, fields=fields, waits=waits)


def said(role: str) -> list[dict[str, str]]:
    return [{"role": role, "content": "hi"}]


CASES: dict[str, Case] = {
    "a value out of range": bad("temperature", "invalid_value", temperature=3),
    "a value of another type": bad("n", "invalid_value", n="one"),
    "an unknown word": bad("messages[0].role", "invalid_value", messages=said("king")),
    "a missing field": bad("prompt", "missing_required_parameter", prompt=openai.omit),
    "an unknown field": bad("temprature", "unknown_parameter", extra_body={"temprature": 1}),
    "a field that is not supported": bad("suffix", "unsupported_parameter", suffix="x"),
    "a prompt and an answer that are too long": bad("prompt", "context_length_exceeded", max_tokens=8192),
    "a chat and an answer that are too long": bad(
        "messages", "context_length_exceeded", messages=said("user"), max_tokens=8192
    ),
    "no key": Case(
        status=401, raises=openai.AuthenticationError, code="invalid_api_key", headers={"authorization": openai.omit}
    ),
    "a wrong key": Case(status=401, raises=openai.AuthenticationError, code="invalid_api_key", key="sk-wrong"),
    "a key for another door": Case(
        status=403, raises=openai.PermissionDeniedError, code="forbidden", type="permission_error", key=ADMIN
    ),
    "a foreign page": Case(
        status=403, raises=openai.PermissionDeniedError, code="forbidden", type="permission_error",
        headers={"origin": "https://evil.example"},
    ),
    "an unknown model": Case(
        status=404, raises=openai.NotFoundError, code="model_not_found", param="model", fields={"model": "ecko"}
    ),
    "an unknown path": Case(status=404, raises=openai.NotFoundError, code="unknown_url", base="/v2"),
    "a wrong method": Case(status=405, raises=openai.APIStatusError, code="method_not_allowed", base="/v1/models"),
    "a large body": Case(
        status=413, raises=openai.APIStatusError, code="content_too_large", fields={"prompt": "x" * 5000}
    ),
    "a text": Case(
        status=415, raises=openai.APIStatusError, code="unsupported_media_type", headers={"content-type": "text/plain"}
    ),
    "a hundred headers": Case(
        status=431, raises=openai.APIStatusError, code="headers_too_large",
        headers={f"x-{number}": "y" for number in range(100)},
    ),
    "a key's limit": Case(
        status=429, raises=openai.RateLimitError, code="rate_limit_exceeded", type="rate_limit_error", key=BUSY,
        waits=(1, 1),
    ),
    "a fault": failing(500, "internal_error", "failing"),
    "too much to do": failing(503, "server_is_overloaded", "full", 1),
    "a model that is being loaded": failing(503, "model_loading", "loading", 5),
    "a model that cannot be loaded": failing(503, "model_unavailable", "broken", 30),
    "no memory": failing(503, "insufficient_memory", "hungry", 5),
    "a deadline": failing(504, "timeout", "late"),
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its model "full" is, and the key BUSY is in use, by one and the same stream."""
    folder: Path = tmp_path_factory.mktemp("failing")
    (folder / "broken").mkdir()
    (folder / "alcove.toml").write_text(CONFIGURATION + "".join(MODEL.format(*model) for model in MODELS.items()))
    environment = {"PYTHONPATH": str(ROOT), "ALCOVE_API_KEYS": f"{KEY},{BUSY}", "ALCOVE_ADMIN_KEYS": ADMIN}
    with running("serve", cwd=folder, environment=environment, module="tests.conformance.never_loaded") as server:
        body = {"model": "full", "prompt": "x" * 3000, "max_tokens": 3000, "stream": True}
        headers = {"authorization": f"Bearer {BUSY}"}
        with httpx.stream("POST", f"{server.api}/completions", json=body, headers=headers, timeout=60) as held:
            assert held.status_code == 200
            yield server
        server.process.kill()  # a model that is being loaded would be waited for
        server.process.wait()


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float | None]]:
    """What the client waits for before it sends a request again, and what of that the server has said; it does not."""
    found: list[tuple[float, float | None]] = []
    decide = BaseClient._calculate_retry_timeout

    def at_once(self: Any, remaining: int, options: Any, headers: Any = None) -> float:
        found.append((decide(self, remaining, options, headers), self._parse_retry_after_header(headers)))
        return 0.0

    monkeypatch.setattr(BaseClient, "_calculate_retry_timeout", at_once)
    return found


def ask(client: Any, case: Case, stream: bool) -> Any:
    fields = {"model": "echo", "extra_headers": case.headers, "stream": stream, **case.fields}
    if "messages" in fields:
        return client.chat.completions.create(**fields)
    return client.completions.create(**{"prompt": "hi"} | fields)


def failure_of(base_url: str, case: Case, *, asynchronous: bool, stream: bool, **options: Any) -> tuple[Exception, int]:
    """What a client raises, and how often it has sent the request."""
    sent: list[str] = []
    options |= {"base_url": base_url, "api_key": case.key}

    async def count(request: Any) -> None:
        sent.append(request.method)

    async def asynchronously() -> None:
        http = openai.DefaultAsyncHttpxClient(event_hooks={"request": [count]})
        async with openai.AsyncOpenAI(**options, http_client=http) as client:
            answer = await ask(client, case, stream)
            async for _ in answer:
                pass

    def synchronously() -> None:
        http = openai.DefaultHttpxClient(event_hooks={"request": [lambda request: sent.append(request.method)]})
        with openai.OpenAI(**options, http_client=http) as client:
            for _ in ask(client, case, stream):
                pass

    with pytest.raises(openai.APIError) as caught:
        asyncio.run(asynchronously()) if asynchronous else synchronously()
    return caught.value, len(sent)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_the_client_raises(
    server: Server, waits: list[tuple[float, float | None]], case: Case, asynchronous: bool, stream: bool
) -> None:
    error, sent = failure_of(server.url + case.base, case, asynchronous=asynchronous, stream=stream)
    assert type(error) is case.raises
    assert isinstance(error, openai.APIStatusError)
    assert (error.status_code, error.type, error.code, error.param) == (case.status, case.type, case.code, case.param)
    assert error.request_id
    assert sent == 1 + len(case.waits)
    assert tuple(told for _, told in waits) == case.waits
    assert all(told is None or waited == told for waited, told in waits), "the client obeys"


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_what_has_ended_an_engine_is_not_sent_again(server: Server, asynchronous: bool) -> None:
    body = {"model": "dying", "prompt": "hi"}
    begun = time.monotonic()
    while server.post("/v1/completions", body, headers={"authorization": f"Bearer {KEY}"}).status_code != 200:
        assert time.monotonic() - begun < 30, "it is started again"
        time.sleep(0.05)
    case = failing(500, "internal_error", "dying", prompt="too long")
    error, sent = failure_of(server.api, case, asynchronous=asynchronous, stream=False)
    assert type(error) is openai.InternalServerError
    assert (error.status_code, error.type, error.code, error.param) == (500, "server_error", "internal_error", None)
    assert sent == 1


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_failure_within_a_stream(server: Server, asynchronous: bool) -> None:
    """Its status is long gone, and there is nothing that could be sent again."""
    case = failing(500, "internal_error", "failing-late", prompt="too long")
    error, sent = failure_of(server.api, case, asynchronous=asynchronous, stream=True)
    assert type(error) is openai.APIError
    assert (error.type, error.code, error.param) == ("server_error", "internal_error", None)
    assert sent == 1


def open_requests(server: Server) -> float:
    told = re.findall(
        r"^alcove:num_requests_(?:running|waiting)\{.*\} (\S+)$", server.get("/metrics").text, re.MULTILINE
    )
    return sum(map(float, told))


def test_a_stop_is_a_server_error_to_all_clients(tmp_path: Path) -> None:
    """Requests that have not begun to be answered when the time to end is over. Who sends again finds nobody."""
    (tmp_path / "alcove.toml").write_text(
        "[server]\ndrain_timeout_s = 1\n" + MODEL.format("slow", "engine_options = { delay_s = 30 }\ndefault = true")
    )
    case = failing(503, "shutting_down", "slow")
    found: list[tuple[Exception, int]] = []
    with running("serve", cwd=tmp_path) as server:

        def fail(options: dict[str, Any]) -> None:
            found.append(failure_of(server.api, case, **options))

        kinds: list[dict[str, Any]] = [
            {"asynchronous": asynchronous, "stream": stream, "max_retries": 0}
            for asynchronous in (False, True)
            for stream in (False, True)
        ]
        again = {"asynchronous": False, "stream": False}
        threads = [threading.Thread(target=fail, args=(kind,)) for kind in [*kinds, again]]
        for thread in threads:
            thread.start()
        begun = time.monotonic()
        while open_requests(server) < len(threads):
            assert time.monotonic() - begun < 30
            time.sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(30)
    told = [error for error, sent in found if sent == 1]
    assert [type(error) for error in told] == [openai.InternalServerError] * len(kinds)
    assert {(error.status_code, error.type, error.code, error.param) for error in told} == {
        (503, "service_unavailable_error", "shutting_down", None)
    }
    (refused,) = [error for error, sent in found if sent == 3]
    assert type(refused) is openai.APIConnectionError
