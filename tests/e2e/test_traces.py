"""Traces, as a collector gets them; and nothing of OpenTelemetry where there is none."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.serving import clean_environment, running

ECHO = '[[model]]\nname = "echo"\nsource = "builtin:echo"\n'
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """An OTLP/HTTP collector that keeps what it gets."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        self.headers: list[str | None] = []


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                    collector.resources.append(values(group.resource.attributes))
                    collector.spans += [span for scope in group.scope_spans for span in scope.spans]
                collector.headers.append(self.headers.get("x-tenant"))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield collector
    server.shutdown()
    server.server_close()


def values(attributes: Any) -> dict[str, Any]:
    def plain(value: AnyValue) -> Any:
        kind = value.WhichOneof("value")
        return [plain(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)

    return {attribute.key: plain(attribute.value) for attribute in attributes}


@pytest.mark.parametrize("by", ["setting", "environment"])
def test_spans_of_requests(tmp_path: Path, by: str) -> None:
    with collecting() as collector:
        environment = {"OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=t1"}
        own = ""
        if by == "setting":
            own = f'[server]\notel_endpoint = "{collector.url}"\n'
        else:
            environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "mine"}
        (tmp_path / "alcove.toml").write_text(own + ECHO)
        with running("serve", cwd=tmp_path, environment=environment) as server:
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "mine-1"}
            body = {"prompt": "secret words", "max_tokens": 3, "stream": True}
            assert server.post("/v1/completions", body, headers=headers).status_code == 200
            assert server.post("/v1/chat/completions", {"messages": []}).status_code == 400
            server.get("/health")
        # the server has sent what was left before it ended
    assert set(collector.headers) == {"t1"}
    assert {resource["service.name"] for resource in collector.resources} == {"alcove" if by == "setting" else "mine"}
    assert b"secret" not in b"".join(span.SerializeToString() for span in collector.spans)
    spans = {span.name: span for span in collector.spans}
    assert spans.keys() == {"text_completion echo", "queue", "prefill", "decode", "POST /v1/chat/completions"}
    whole = spans["text_completion echo"]
    assert (whole.trace_id.hex(), whole.parent_span_id.hex(), whole.kind) == (TRACE, PARENT, Span.SPAN_KIND_SERVER)
    attributes = values(whole.attributes)
    assert 0 < attributes.pop("gen_ai.response.time_to_first_chunk") < 10
    assert attributes == {
        "alcove.request_id": "mine-1",
        "alcove.outcome": "finished",
        "http.request.method": "POST",
        "http.route": "/v1/completions",
        "http.response.status_code": 200,
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "alcove",
        "gen_ai.request.model": "echo",
        "gen_ai.response.model": "echo",
        "gen_ai.request.stream": True,
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.response.finish_reasons": ["length"],
    }
    parts = [spans[name] for name in ("queue", "prefill", "decode")]
    assert all(part.parent_span_id == whole.span_id and part.trace_id == whole.trace_id for part in parts)
    edges = [whole.start_time_unix_nano, *(part.end_time_unix_nano for part in parts)]
    assert [part.start_time_unix_nano for part in parts] == edges[:-1]
    assert edges == sorted(edges)
    assert edges[-1] == whole.end_time_unix_nano
    assert abs(whole.end_time_unix_nano / 1e9 - time.time()) < 60
    refused = spans["POST /v1/chat/completions"]
    assert refused.trace_id.hex() != TRACE
    assert values(refused.attributes)["alcove.outcome"] == "refused"


NOTHING = """
import asyncio, sys
from alcove.config.settings import ModelSettings, Settings
from alcove.server.app import create_app
app = create_app(Settings(models=(ModelSettings(name="echo", source="builtin:echo"),)))
async def main():
    said, heard = asyncio.Queue(), asyncio.Queue()
    heard.put_nowait({"type": "lifespan.startup"})
    task = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, heard.get, said.put))
    assert (await said.get())["type"] == "lifespan.startup.complete"
    heard.put_nowait({"type": "lifespan.shutdown"})
    await task
asyncio.run(main())
print([name for name in sys.modules if name.startswith("opentelemetry.sdk") or "otlp" in name])
"""


def test_nothing_is_imported_when_traces_are_off() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", NOTHING], capture_output=True, text=True, env=clean_environment(), check=True, timeout=60
    )
    assert ran.stdout == "[]\n"


def test_what_is_missing_is_a_warning(tmp_path: Path) -> None:
    """Without the extra the server starts, and says what to install."""
    (tmp_path / "alcove.toml").write_text(ECHO)
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules['opentelemetry.exporter.otlp.proto.http.trace_exporter'] = None\n"
    )
    environment = {"PYTHONPATH": str(tmp_path), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    with running("serve", cwd=tmp_path, environment=environment) as server:
        assert "pip install 'alcove[otel]'" in server.log.read_text()


@pytest.mark.parametrize("off", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_switched_off_by_the_standard_variables(off: dict[str, str]) -> None:
    from alcove.config.environment import from_environment

    on = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318/"}
    place = "server", "otel_endpoint"
    assert from_environment(on).entries[place].value == "http://127.0.0.1:4318/v1/traces"
    own = {**on, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/t"}
    assert from_environment(own).entries[place].value == "http://127.0.0.1:1/t"
    assert place not in from_environment({**own, **off}).entries
