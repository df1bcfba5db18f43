"""Spans of requests and of the work for them, sent by OTLP."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, Status, TraceState
from opentelemetry.util.types import Attributes
from sqlalchemy import Engine

_TOLD = frozenset(
    {
        *("http.request.method", "http.response.status_code", "http.route", "url.scheme", "error.type"),
        *("server.address", "server.port", "db.system.name", "db.query.text"),
    }
)
"""Attributes of spans that are sent: no address with its query, no caller. Statements are without their values."""


def start_traces(engines: Sequence[Engine], stack: AsyncExitStack) -> None:
    """FastAPI makes spans of requests by itself, once there is a provider."""
    resource = Resource.create({"service.name": "voice-translation"})
    provider = TracerProvider(ParentBased(_Requests()), resource)
    provider.add_span_processor(BatchSpanProcessor(_DiscreetExporter()))
    trace.set_tracer_provider(provider)
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")  # the stable names, as FastAPI has them
    HTTPXClientInstrumentor().instrument()
    RedisInstrumentor().instrument()
    # It wants SQLAlchemy below 2.1, whose events 2.1 has as well: the test of a whole trace sees its spans.
    SQLAlchemyInstrumentor().instrument(engines=list(engines), skip_dep_check=True)
    stack.push_async_callback(asyncio.to_thread, provider.shutdown)


class _Requests(Sampler):
    """Begins a trace with a request, not with what a process does by itself every few seconds."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        return SamplingResult(Decision.RECORD_AND_SAMPLE if kind is SpanKind.SERVER else Decision.DROP)

    def get_description(self) -> str:
        return "requests"


class _DiscreetExporter(OTLPSpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return super().export([_discreet(span) for span in spans])


def _discreet(span: ReadableSpan) -> ReadableSpan:
    """Without what may be a text, a user or a signature: most attributes, and errors' words."""
    return ReadableSpan(
        span.name,
        span.context,
        span.parent,
        span.resource,
        {name: value for name, value in (span.attributes or {}).items() if name in _TOLD},
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
