"""The outer net: what any middleware or the app below raises becomes a problem, and an unread body does no harm."""

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.error_handlers import log_unexpected, problem

_LINGER_SECONDS = 1.0
_LINGER_BYTES = 2 * 2**20


class ErrorMiddleware:
    """Answers errors raised below it.

    When an answer is made before the whole body was read, the connection closes after it, instead of reading on for
    as long as the caller sends. It lingers first, for a second or 2 MiB: closed at once, a caller that is still
    sending would see a reset and not the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001  this is the net: it logs what is unexpected
            answer = problem(error)
            if answer.status == 500 or exchange.started:
                log_unexpected(error, scope)
            if not exchange.started:
                await answer.response(scope)(scope, exchange.receive, exchange.send)
            # else the server sees an answer without an end, and closes the connection


class _Exchange:
    """Knows how far a request has been read and whether its answer has begun."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self.unread = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self.started = False
        self._receive = receive
        self._send = send

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
        received = 0
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while self.unread and received < _LINGER_BYTES:
                    received += len((await self.receive()).get("body", b""))
        except TimeoutError:
            return
