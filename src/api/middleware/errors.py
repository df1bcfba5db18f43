"""The outer net: what any middleware or the app below raises becomes a problem, and an unread body does no harm."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.error_handlers import log_unexpected, problem
from src.domain.errors import Unavailable

_IDLE_SECONDS = 2.0
_BYTES_PER_SECOND = 64 * 2**10


class Linger:
    """For 2 s without a byte, as long as 64 KiB come in each second, and for `longest_seconds` at most. What comes is
    dropped. Times are of the monotonic clock, which is also that of asyncio.
    """

    def __init__(self, longest_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.received = 0
        self._longest_seconds = longest_seconds
        self._clock = clock
        self._began = self._last = clock()

    def receive(self, size: int) -> None:
        self.received += size
        self._last = self._clock()

    @property
    def ends_at(self) -> float:
        earned = min(self._last, self._began + self.received / _BYTES_PER_SECOND) + _IDLE_SECONDS
        return min(earned, self._began + self._longest_seconds)


_ENDING = Unavailable("The service is being stopped. Send the request again.", retry_after_seconds=5)


class ErrorMiddleware:
    """Answers errors raised below it, and requests that the server cancels.

    When an answer is made before the whole body was read, the connection closes after it, instead of reading on for
    as long as the caller sends. It lingers first, for `linger_seconds` and `linger_bytes` at most.
    """

    def __init__(self, app: ASGIApp, *, linger_bytes: int, linger_seconds: float) -> None:
        self.app = app
        self._linger_bytes = linger_bytes
        self._linger_seconds = linger_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._linger_bytes, self._linger_seconds)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:  # by the server alone, when it ends
            with suppress(asyncio.CancelledError):
                if not exchange.started:
                    await problem(_ENDING).response(scope)(scope, exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001  this is the net: it logs what is unexpected
            answer = problem(error)
            if answer.status == 500 or exchange.started:
                log_unexpected(error, scope)
            if not exchange.started:
                await answer.response(scope)(scope, exchange.receive, exchange.send)
            # else the server sees an answer without an end, and closes the connection

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket is refused with the same answers; one that is open is closed, with the code of a defect."""
        accepted = False

        async def send_and_see(message: Message) -> None:
            nonlocal accepted
            accepted = accepted or message["type"] == "websocket.accept"
            await send(message)

        try:
            await self.app(scope, receive, send_and_see)
        except Exception as error:  # noqa: BLE001  as above
            answer = problem(error)
            if answer.status == 500 or accepted:
                log_unexpected(error, scope)
            if accepted:
                await send({"type": "websocket.close", "code": 1011})
            else:
                await answer.response(scope)(scope, receive, send)


class _Exchange:
    """Knows how far a request has been read and whether its answer has begun."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, linger_bytes: int, linger_seconds: float) -> None:
        headers = Headers(scope=scope)
        self.unread = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self.started = False
        self._receive = receive
        self._send = send
        self._linger_bytes = linger_bytes
        self._linger_seconds = linger_seconds

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self.unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if self.unread:
                MutableHeaders(scope=message)["Connection"] = "close"
        if not self.unread or message["type"] != "http.response.body" or message.get("more_body", False):
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        await self._linger()
        await self._send({"type": "http.response.body", "body": b""})

    async def _linger(self) -> None:
        linger = Linger(self._linger_seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as limit:
                while self.unread and linger.received < self._linger_bytes:
                    limit.reschedule(linger.ends_at)
                    linger.receive(len((await self.receive()).get("body", b"")))
