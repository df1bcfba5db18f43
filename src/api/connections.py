"""Connections before they are requests: how many there may be, how slow they may be.

uvicorn waits for ever for the head of a request, and for a caller to read its answer. `guarded` makes of its protocol
one that waits with limits; one timer looks at all connections about once a second.
"""

import asyncio
import ipaddress
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from src.api.error_handlers import Problem, RequestTimeout, problem
from src.api.middleware.errors import Linger
from src.api.middleware.rate_limit import address_of, bucket
from src.domain.errors import Overloaded

logger = logging.getLogger(__name__)

_QUIET = logging.getLogger(f"{__name__}.websockets")
_QUIET.setLevel(logging.WARNING)
"""uvicorn logs addresses with their queries, and the callers': the middleware has its own line."""

MAX_HEAD_BYTES = 32 * 1024
"""Of request line and headers. A token has at most 8 KiB."""

_LEAST_PROGRESS_BYTES = 16 * 1024
_UNSENT_IN_KERNEL_BYTES = 128 * 1024
"""More than that the kernel does not take before it is sent, so that what a caller reads is seen here."""
_LINGER_SECONDS = 60.0
_CROWDED_LINGER_SECONDS = 1.0
"""After a refusal, at most, and where there are too many connections already."""


MAX_CONNECTIONS = 1000
MAX_CONNECTIONS_PER_ADDRESS = 250
"""Of one client address (an IPv6 /64), that nobody alone takes them all."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`header_seconds`: from the connecting, or from the first byte of a further request, to the end of the head.

    `send_seconds`: in each such time a caller must take 16 KiB of an answer that waits for it, or all of it.
    `most`: connections at a time; `most_per_address`: of one address, but for `proxies`.
    """

    header_seconds: float = 10.0
    send_seconds: float = 30.0
    most: int = MAX_CONNECTIONS
    most_per_address: int = MAX_CONNECTIONS_PER_ADDRESS
    proxies: tuple[str, ...] = ()


def guarded(limits: ConnectionLimits) -> type[HttpToolsProtocol]:
    """For `uvicorn.Config(http=…)`: of one server."""
    return type("GuardedProtocol", (_GuardedProtocol,), {"guard": _Guard(limits)})


class _Guard:
    """The connections of one server."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._proxies = [ipaddress.ip_network(item) for item in limits.proxies]
        self._open: set[_GuardedProtocol] = set()
        self._of_address: Counter[str] = Counter()
        self._look_every = min(1.0, limits.header_seconds / 4, limits.send_seconds / 4)
        self._watching = False
        self._full = False

    def enter(self, connection: "_GuardedProtocol", address: str) -> bool:
        """Whether it may stay. Every connection that enters leaves."""
        self._open.add(connection)
        self._of_address[bucket(address)] += 1
        if not self._watching:
            self._watching = True
            self._watch(connection.loop)
        if len(self._open) > self.limits.most:
            if not self._full:
                self._full = True
                logger.warning("more than %d connections: new ones are refused", self.limits.most)
            return False
        most = self.limits.most_per_address
        return self._of_address[bucket(address)] <= most or self._is_proxy(address)

    def leave(self, connection: "_GuardedProtocol", address: str) -> None:
        self._open.discard(connection)
        self._of_address[bucket(address)] -= 1
        if not self._of_address[bucket(address)]:
            del self._of_address[bucket(address)]
        if len(self._open) < 0.9 * self.limits.most:
            self._full = False

    def _is_proxy(self, address: str) -> bool:
        found = address_of(address)
        return found is not None and any(found in network for network in self._proxies)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        for connection in list(self._open):
            connection.check(now)
        self._watching = bool(self._open)
        if self._watching:
            loop.call_later(self._look_every, self._watch, loop)


@dataclass(slots=True)
class _Waiting:
    """What a connection waits for, since when on the monotonic clock."""

    head_since: float | None = field(default_factory=time.monotonic)
    unsent_since: float = 0.0
    unsent_bytes: int = 0
    closing: Linger | None = None  # after a refusal


class _GuardedProtocol(HttpToolsProtocol):
    guard: ClassVar[_Guard]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._waiting = _Waiting()
        self._in_head, self._head_bytes, self._head_too_long = True, 0, False
        self._address = self.client[0] if self.client else "unknown"
        peer = transport.get_extra_info("socket")
        if peer is not None and peer.family in (socket.AF_INET, socket.AF_INET6):
            with suppress(OSError, AttributeError):  # where the system has no such option
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_IN_KERNEL_BYTES)
        if not self.guard.enter(self, self._address):
            detail = "There are too many connections, of all callers or from this address. Try again soon."
            self._refuse(problem(Overloaded(detail, retry_after_seconds=5)), _CROWDED_LINGER_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self.guard.leave(self, self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._waiting.closing is not None:
            self._waiting.closing.receive(len(data))
            return
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._waiting.head_since is None:
                self._waiting.head_since = time.monotonic()
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_HEAD_TOO_LONG)

    def on_message_begin(self) -> None:
        if self._waiting.head_since is None:
            self._waiting.head_since = time.monotonic()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._waiting.head_since = False, None
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD_BYTES:
            self._head_too_long = True
            raise ValueError("the head is too long")  # the parser stops, and `send_400_response` is called
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """What follows is no HTTP; the connection counts, and must read what it is sent, as before."""
        leave = partial(self.guard.leave, self, self._address)
        self.ws_protocol_class = partial(_GuardedWebSocket, leave)  # type: ignore[assignment]  # called, and no more
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._refuse(_HEAD_TOO_LONG if self._head_too_long else _NOT_HTTP)

    def check(self, now: float) -> None:
        """Close what has taken too long."""
        if self._waiting.closing is not None and now >= self._waiting.closing.ends_at:
            self.transport.close()
        self._check_reader(now)
        since, limit = self._waiting.head_since, self.guard.limits.header_seconds
        if since is None or now - since < limit or self.transport.is_closing():
            return
        if self._answers:  # the next request comes slowly while this one is answered
            self.cycle.keep_alive = False
        elif self._head_bytes:
            self._refuse(problem(RequestTimeout(f"The head of the request did not arrive within {limit:g} s.")))
        else:
            self.transport.close()

    def _check_reader(self, now: float) -> None:
        unsent, waiting = self.transport.get_write_buffer_size(), self._waiting
        if unsent == 0 or unsent > waiting.unsent_bytes or unsent <= waiting.unsent_bytes - _LEAST_PROGRESS_BYTES:
            waiting.unsent_bytes, waiting.unsent_since = unsent, now
        elif now - waiting.unsent_since >= self.guard.limits.send_seconds:
            self.transport.abort()

    @property
    def _answers(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, refusal: Problem, linger_seconds: float = _LINGER_SECONDS) -> None:
        """Answer, and close soon. In the middle of another answer: close."""
        self._waiting.head_since = None
        if self._waiting.closing is not None or self.transport.is_closing():
            return
        if self._answers:
            if self.pipeline or self.cycle.response_started:
                self.transport.close()
                return
            self.cycle.disconnected = True  # the body stopped being one: what the app says to it comes too late
            self.cycle.message_event.set()
        self._waiting.closing = Linger(linger_seconds)
        self.flow.resume_reading()
        self._unset_keepalive_if_required()
        self.transport.write(_raw(refusal))


class _GuardedWebSocket(WebSocketsSansIOProtocol):
    """`leave` is called when the connection is lost."""

    def __init__(self, leave: Callable[[], None], /, **given: Any) -> None:
        super().__init__(**given)
        self.logger = _QUIET
        self._leave = leave

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server ends: a session that is open is told by its route, and closed when it has ended."""
        if self.close_sent or not self.handshake_complete:
            super().shutdown()


def _raw(refusal: Problem) -> bytes:
    scope: dict[str, Any] = {"path": ""}
    answer = refusal.response(scope)
    head = b"".join(b"%s: %s\r\n" % pair for pair in [*answer.raw_headers, (b"connection", b"close")])
    return STATUS_LINE[answer.status_code] + head + b"\r\n" + bytes(answer.body)


def _of_status(status: HTTPStatus, detail: str) -> Problem:
    return Problem(status, status.phrase.lower().replace(" ", "_"), status.phrase, detail)


_NOT_HTTP = _of_status(HTTPStatus.BAD_REQUEST, "This is not a request of HTTP/1.1.")
_HEAD_TOO_LONG = _of_status(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"The address and the headers of a request may have {MAX_HEAD_BYTES} bytes together.",
)
