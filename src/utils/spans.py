"""Traces, by OpenTelemetry: nothing is recorded unless bootstrap has set up where to."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace

from src.domain.identity import Trace

_tracer = trace.get_tracer("voice-translation")


def current_traceparent() -> str | None:
    """Of the span that is recorded now. None: none is."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def span_of(name: str, request: Trace | None) -> Iterator[None]:
    """What is done inside belongs to that request, which another process may have taken. No error's words are kept."""
    context = propagate.extract({"traceparent": request.traceparent}) if request else None
    with _tracer.start_as_current_span(name, context, record_exception=False, set_status_on_exception=False):
        yield
