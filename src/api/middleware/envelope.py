"""`{"success": true, "data": …}` round JSON answers, for gateways that ask for it by their Accept header."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENVELOPE = "application/vnd.voice.envelope+json"

_JSON_TYPES = frozenset({"application/json", "application/problem+json"})
_NOT_WRAPPED = frozenset({"/openapi.json"})
_SUCCESS, _FAILURE, _END = b'{"success":true,"data":', b'{"success":false,"error":', b"}"


class EnvelopeMiddleware:
    """Wraps JSON bodies as they pass, without parsing or copying megabytes of audio. Status and headers stay."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _NOT_WRAPPED:
            await self.app(scope, receive, send)
            return
        wanted = wants_envelope(Headers(scope=scope).getlist("accept"))
        await self.app(scope, receive, _Wrapper(send, wanted=wanted))


class _Wrapper:
    """The `send` of one answer."""

    def __init__(self, send: Send, *, wanted: bool) -> None:
        self._send = send
        self._wanted = wanted
        self._wrapping = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self._wrapping and message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._send({"type": "http.response.body", "body": _END})
        else:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        is_json = headers.get("content-type", "").partition(";")[0].strip() in _JSON_TYPES
        if is_json:
            headers.add_vary_header("Accept")
        self._wrapping = is_json and self._wanted and "content-encoding" not in headers
        if not self._wrapping:
            await self._send(message)
            return
        opening = _SUCCESS if message["status"] < 400 else _FAILURE
        headers["content-type"] = ENVELOPE
        if "content-length" in headers:
            headers["content-length"] = str(int(headers["content-length"]) + len(opening) + len(_END))
        await self._send(message)
        await self._send({"type": "http.response.body", "body": opening, "more_body": True})


def wants_envelope(accept: list[str]) -> bool:
    """Whether the Accept headers name the envelope and do not prefer plain JSON to it. Wildcards mean plain JSON."""
    weights = dict(_media_range(item) for header in accept for item in header.split(",") if item.strip())
    envelope = weights.get(ENVELOPE, 0.0)
    plain = next((weights[item] for item in ("application/json", "application/*", "*/*") if item in weights), 0.0)
    # a wildcard that stands beside the envelope with the same weight only says that anything else will do
    return envelope > 0 and envelope >= plain


def _media_range(item: str) -> tuple[str, float]:
    """`text/html;level=1;q=0.5` is `("text/html", 0.5)`; a weight that cannot be read is 0, outside 0..1 it is cut."""
    media_type, *parameters = (part.strip().lower() for part in item.split(";"))
    quality = next(
        (value for name, _, value in (part.partition("=") for part in parameters) if name.strip() == "q"), "1"
    )
    try:
        return media_type, min(1.0, max(0.0, float(quality)))
    except ValueError:
        return media_type, 0.0
