"""How a log record is written, and where a defect happened: lines of the Elastic Common Schema, or for people; and the
spans of traces, by OpenTelemetry, which are recorded only where bootstrap has set up where to.

No value begins a line of its own, and no words of an exception are shown, which may be what somebody said.
"""

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from opentelemetry import propagate, trace

from src.domain.identity import Trace, current_job, current_trace

OWN_LOGGER = "src"
"""The logger above all of the service's own."""

logger = logging.getLogger(__name__)
_tracer = trace.get_tracer("voice-translation")


class Stack(str):
    """What `where` says; the log has it apart from the message."""

    __slots__ = ()


def where(error: BaseException) -> Stack:
    """The stack and the type of an error and of its causes, without their messages.

    A message quotes values, and a value may be what somebody said.
    """
    return Stack("caused\n".join(_steps(error)))


def _steps(error: BaseException) -> Iterator[str]:
    cause = error.__cause__ or error.__context__
    if cause is not None:
        yield from _steps(cause)
    yield f"{''.join(traceback.format_tb(error.__traceback__))}{type(error).__module__}.{type(error).__qualname__}\n"


def log_uncaught() -> None:
    """From now on what nobody catches is logged by its place: Python itself would print its words."""

    def report(kind: str, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
            logger.critical("nobody caught an error in %s\n%s", kind, where(error))

    sys.excepthook = lambda _type, error, _traceback: report("the main thread", error)
    threading.excepthook = lambda told: report("a thread", told.exc_value)
    sys.unraisablehook = lambda told: report("a clean-up", told.exc_value)


FIELDS = "fields"
"""`extra={FIELDS: {...}}` gives a JSON line further fields, named as the Elastic Common Schema has them."""

_ECS_VERSION = "8.11.0"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")  # all but tab and newline
_INDENT = "\n    "


class JsonLines(logging.Formatter):
    """The Elastic Common Schema. `role`: what this process is, api or worker.

    Not by ecs-logging, which writes the words of exceptions, and whatever a library has put on a record.
    """

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role
        self._pid = os.getpid()

    def format(self, record: logging.LogRecord) -> str:
        message, stack = _parts(record)
        line: dict[str, Any] = {
            "@timestamp": _time(record),
            "log.level": record.levelname.lower(),
            "message": message,
            "ecs.version": _ECS_VERSION,
            "log.logger": record.name,
            **_context(),
            **getattr(record, FIELDS, {}),
            "service.name": "voice-translation",
            "labels.role": self._role,
            "process.pid": self._pid,
        }
        if stack:
            line |= {"error.type": stack.splitlines()[-1].strip(), "error.stack_trace": stack}
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """What follows the first line of a record is indented, whoever wrote it."""

    def format(self, record: logging.LogRecord) -> str:
        message, stack = _parts(record)
        request_id = _context().get("http.request.id", "-")
        line = f"{_time(record)} {record.levelname} {record.name} [{request_id}] {message}"
        return _shown(f"{line}\n{stack}".rstrip())


def _parts(record: logging.LogRecord) -> tuple[str, str]:
    """The message, and where an exception happened; empty when there was none."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    told = next((argument for argument in arguments if isinstance(argument, Stack)), Stack(""))
    message = record.getMessage()
    if record.name == "asyncio":
        message = message.partition("\n")[0]  # the rest shows futures, and with them the words of their exceptions
    stack = where(record.exc_info[1]) if record.exc_info and record.exc_info[1] else told
    return message.removesuffix(told).rstrip() if told else message.rstrip(), stack.rstrip()


def _context() -> dict[str, str]:
    found = {}
    if (trace := current_trace.get()) is not None:
        found = {"http.request.id": trace.request_id, "trace.id": trace.trace_id, "span.id": trace.span_id}
    if (job_id := current_job.get()) is not None:
        found["labels.job_id"] = job_id
    return found


def _time(record: logging.LogRecord) -> str:
    """RFC 3339."""
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text).replace("\n", _INDENT)


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
