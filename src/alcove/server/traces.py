"""OpenTelemetry spans of requests, sent to a collector over OTLP/HTTP; nothing of it is imported unless it is wanted.

A `Record` comes in when its request has ended; a span goes out, with one for each part of the model's work. Names and
attributes are those of OpenTelemetry's conventions for HTTP and generative AI.
"""

import logging
import time
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

from alcove import __version__
from alcove.metrics.record import Record
from alcove.server.request_log import POLLED, outcome

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

logger = logging.getLogger(__name__)

_DEFAULT_PATH = "/v1/traces"
_OPERATIONS = {"chat/completions": "chat", "completions": "text_completion"}


def open_traces(endpoint: str | None) -> "Traces | None":
    """Traces to this collector; None where there is none, or OpenTelemetry is not installed, which is a warning."""
    if endpoint is None:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider  # noqa: F401 - told missing here, used below
    except ImportError:
        logger.warning(
            "server.otel_endpoint: no traces are sent, for OpenTelemetry is missing; pip install 'alcove[otel]'"
        )
        return None
    has_path = "/" in endpoint.partition("://")[2].rstrip("/")
    return Traces(OTLPSpanExporter(endpoint if has_path else endpoint.rstrip("/") + _DEFAULT_PATH))


class Traces:
    """Makes and sends spans. Sampling, batching, headers and resource follow the standard `OTEL_` variables."""

    def __init__(self, exporter: "SpanExporter") -> None:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        ours = Resource({"service.name": "alcove", "service.version": __version__})
        self._provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("alcove", __version__)
        self._extract = TraceContextTextMapPropagator().extract

    def write(self, record: Record, scope: Scope) -> None:
        """Make the spans of a request that has ended, in the trace that its `traceparent` names."""
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        if record.endpoint in POLLED:
            return
        now, clock = time.time_ns(), time.perf_counter()

        def at(moment: float) -> int:
            return now - int((clock - moment) * 1e9)

        carrier = {
            name.decode(): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in (b"traceparent", b"tracestate")
        }
        span = self._tracer.start_span(
            _name(record),
            self._extract(carrier),
            SpanKind.SERVER,
            attributes=_attributes(record),
            start_time=at(record.begun),
        )
        if outcome(record) == "failed":
            span.set_status(Status(StatusCode.ERROR))
        inside = set_span_in_context(span)
        ended = record.begun if record.ended is None else record.ended
        for name, begin, end in (
            ("queue", record.begun, record.batch_at),
            ("prefill", record.batch_at, record.first_at),
            ("decode", record.first_at, ended),
        ):
            if begin is not None and end is not None:
                self._tracer.start_span(name, inside, start_time=at(begin)).end(at(end))
        span.end(at(ended))

    def close(self) -> None:
        """Send what is left. Blocks."""
        self._provider.shutdown()


def _operation(record: Record) -> str | None:
    """What OpenTelemetry calls the generating endpoints; None for others."""
    path = record.endpoint or ""
    return next((name for end, name in _OPERATIONS.items() if path.endswith(end)), None)


def _name(record: Record) -> str:
    operation = _operation(record)
    if operation is not None and record.model is not None:
        return f"{operation} {record.model}"
    return f"{record.method} {record.endpoint}" if record.endpoint else record.method


def _attributes(record: Record) -> dict[str, Any]:
    known: dict[str, Any] = {
        "alcove.request_id": record.id,
        "alcove.outcome": outcome(record),
        "http.request.method": record.method,
        "http.route": record.endpoint,
        "http.response.status_code": record.status,
        "error.type": (record.code or str(record.status)) if record.failed else None,
    }
    if (operation := _operation(record)) is not None:
        known |= {"gen_ai.operation.name": operation, "gen_ai.provider.name": "alcove"}
    if record.model is not None:
        known |= {
            "gen_ai.request.model": record.model,
            "gen_ai.response.model": record.model,
            "gen_ai.request.stream": record.streamed,
            "gen_ai.usage.input_tokens": record.prompt_tokens,
            "gen_ai.usage.output_tokens": record.completion_tokens,
            "gen_ai.response.finish_reasons": None if record.finish is None else (record.finish,),
            "gen_ai.response.time_to_first_chunk": None if record.first_at is None else record.first_at - record.begun,
        }
    return {name: value for name, value in known.items() if value is not None}
