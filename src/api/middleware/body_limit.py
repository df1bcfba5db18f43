"""Request bodies, before they are parsed: not too large, not too slow, declared as what is read there, not too many at
once.
"""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.error_handlers import RequestTimeout
from src.domain.errors import AudioTooLarge, MalformedJson, Overloaded, UnsupportedMediaType

MAX_JSON_VALUES = 50_000
"""Commas and opening brackets in a body. Base64 has none: only a body that is made to be slow to parse has more."""


class BodyLimitMiddleware:
    """Reads the body before the app does, so that limits are kept in one place and the app gets it whole.

    Raises AudioTooLarge above `max_bytes` (on Content-Length, before a byte is read), RequestTimeout when the body
    takes longer than `timeout_seconds`, Overloaded when the bodies held at one time exceed `max_held_bytes`,
    UnsupportedMediaType for a body that is not JSON, MalformedJson for one with more than `MAX_JSON_VALUES`. Paths of
    `forms` take forms (multipart) instead.
    """

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, timeout_seconds: float, max_held_bytes: int, forms: frozenset[str]
    ) -> None:
        self.app = app
        self._forms = forms
        self._max_bytes = max_bytes
        self._timeout_seconds = timeout_seconds
        self._max_held_bytes = max_held_bytes
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(headers := Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        self._require_size(int(headers.get("content-length", "0")))
        is_form = scope["path"] in self._forms
        _require_type(headers, is_form=is_form)
        body = _Body()
        try:
            if await self._read(receive, body, is_form=is_form):
                await self.app(scope, _replay(body, receive), send)
        finally:
            self._held_bytes -= body.size
            body.take()  # also where an error, which remembers this body, is being answered

    async def _read(self, receive: Receive, body: "_Body", *, is_form: bool) -> bool:
        """Fill `body` to its end; False when the caller went away."""
        values = 0
        try:
            async with asyncio.timeout(self._timeout_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return False
                    chunk: bytes = message.get("body", b"")
                    if not is_form:
                        values += sum(chunk.count(mark) for mark in (b",", b"[", b"{"))
                    self._hold(body, chunk)
                    self._require_size(body.size)
                    _require_simple(values)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise RequestTimeout(
                f"The body did not arrive within {self._timeout_seconds:g} s. Send it again."
            ) from None
        return True

    def _hold(self, body: "_Body", chunk: bytes) -> None:
        if self._held_bytes + len(chunk) > self._max_held_bytes:
            raise Overloaded("Too much audio is being received at this time. Try again soon.", retry_after_seconds=5)
        body.append(chunk)
        self._held_bytes += len(chunk)

    def _require_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise AudioTooLarge(
                f"The body may have {self._max_bytes} bytes. Send a shorter recording, or a compressed one."
            )


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _require_type(headers: Headers, *, is_form: bool) -> None:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if is_form:
        if media_type != "multipart/form-data":
            raise UnsupportedMediaType("Send a form (`multipart/form-data`) with the audio as its `file`.")
    elif media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaType(
            "Forms (multipart) and bare bytes are not read. Send JSON with `Content-Type: application/json`, and in it "
            'the bytes of the file as one text in base64: {"audio": "UklGR…", "audio_format": "wav", …}. '
            "/docs has the fields of each address."
        )
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Send the body without Content-Encoding.")


def _require_simple(values: int) -> None:
    if values > MAX_JSON_VALUES:
        raise MalformedJson(
            f"The body has more than {MAX_JSON_VALUES} values. Send only the fields that are documented, and the audio "
            "as one text in base64, not as a list of numbers."
        )


class _Body:
    """The bytes of one request, and their number, which stays known after they were given away."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.size = 0

    def append(self, chunk: bytes) -> None:
        self._data += chunk
        self.size += len(chunk)

    def take(self) -> bytearray:
        """Give the bytes away, so that they are freed when the app has parsed them."""
        data, self._data = self._data, bytearray()
        return data


def _replay(body: _Body, receive: Receive) -> Receive:
    """A `receive` that gives the whole body first, and then what the server says (that the caller has gone)."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body.take(), "more_body": False}

    return receive_again
