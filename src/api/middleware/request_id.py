"""One id per request, in its answer and in every log line, and one log line per request."""

import logging
import re
import time
from secrets import token_hex

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.domain.identity import Trace, working_for
from src.utils import metrics
from src.utils.tracing import FIELDS, current_traceparent

logger = logging.getLogger(__name__)

_ANSWERS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class RequestIdMiddleware:
    """Takes the caller's X-Request-ID and traceparent when they are well formed, else makes them, and sends them back;
    where spans are recorded, the traceparent of the request's own.

    Both stand in `request.state` as `request_id` and `traceparent`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _accepted(_REQUEST_ID, headers.get("x-request-id")) or token_hex(16)
        asked = current_traceparent() or _accepted(_TRACEPARENT, headers.get("traceparent"))
        traceparent = asked or f"00-{token_hex(16)}-{token_hex(8)}-01"
        scope.setdefault("state", {}).update(request_id=request_id, traceparent=traceparent)
        started = time.perf_counter()
        status = 499  # nginx's number for a caller that went away before the answer

        async def send_with_ids(message: Message) -> None:
            nonlocal status
            if message["type"] in _ANSWERS:
                status = message.get("status", 101)
                message.setdefault("headers", [])
                MutableHeaders(scope=message).update({"X-Request-ID": request_id, "traceparent": traceparent})
            await send(message)

        with working_for(Trace(request_id, traceparent)):
            try:
                await self.app(scope, receive, send_with_ids)
            finally:
                _log(scope, status, (time.perf_counter() - started) * 1000)


def _accepted(pattern: re.Pattern[str], value: str | None) -> str | None:
    return value if value is not None and pattern.fullmatch(value) else None


def _log(scope: Scope, status: int, milliseconds: float) -> None:
    """The route's template, never the path with its ids or the query with its signatures. Probes: when debugging."""
    route = str(getattr(scope.get("route"), "path", "(none)"))
    level = logging.DEBUG if route.startswith("/health") else logging.INFO
    trace_id = scope["state"]["traceparent"].split("-")[1]
    method = scope.get("method", "GET")  # of a WebSocket, by which it was opened
    metrics.request(method, route, status, milliseconds / 1000)
    fields = {
        "http.request.method": method,
        "labels.route": route,
        "http.response.status_code": status,
        "event.duration": round(milliseconds * 1e6),
    }
    logger.log(
        level,
        "method=%s route=%s status=%d ms=%.1f request_id=%s trace_id=%s",
        method,
        route,
        status,
        milliseconds,
        scope["state"]["request_id"],
        trace_id,
        extra={FIELDS: fields},
    )
