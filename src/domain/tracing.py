"""Which request something is done for, so that an operator can follow one through the logs of every process."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trace:
    """`request_id`: the caller's X-Request-ID, or ours. `traceparent`: W3C Trace Context. Both are checked."""

    request_id: str
    traceparent: str

    @property
    def trace_id(self) -> str:
        return self.traceparent.split("-")[1]

    @property
    def span_id(self) -> str:
        """Of the caller's span."""
        return self.traceparent.split("-")[2]


current_trace: ContextVar[Trace | None] = ContextVar("current_trace", default=None)
"""None outside of a request and of what is done for one."""

current_job: ContextVar[str | None] = ContextVar("current_job", default=None)
"""The id of the translation job that is being done."""


@contextmanager
def working_for(trace: Trace | None, job_id: str | None = None) -> Iterator[None]:
    """What is logged inside is logged under these."""
    before = current_trace.set(trace), current_job.set(job_id)
    try:
        yield
    finally:
        current_trace.reset(before[0])
        current_job.reset(before[1])
