"""Headers that tell a browser what the answers of this service may do. What a route sets itself stays."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CONTENT_POLICY = (
    "default-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_DOCS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""FastAPI's interactive documentation starts its script inline."""
_DOCS = frozenset({"/docs"})

_ACROSS_ORIGINS = "/api/v1/audio/"
"""Signed addresses, which a page of another origin may play."""

_NOT_KEPT = ("/api/", "/health")

_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}


class SecurityHeadersMiddleware:
    """Adds the security headers, and `Cache-Control: no-store` to the API's answers: they hold what people said.

    `hsts_seconds`: for so long a browser that got an answer uses TLS and nothing else. 0: nothing is said of it.
    """

    def __init__(self, app: ASGIApp, hsts_seconds: int = 0) -> None:
        self.app = app
        self._always = {"Strict-Transport-Security": f"max-age={hsts_seconds}"} if hsts_seconds else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in (_headers_for(scope["path"]) | self._always).items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _headers_for(path: str) -> dict[str, str]:
    headers = _HEADERS | {
        "Content-Security-Policy": _DOCS_POLICY if path in _DOCS else _CONTENT_POLICY,
        "Cross-Origin-Resource-Policy": "cross-origin" if path.startswith(_ACROSS_ORIGINS) else "same-origin",
    }
    return headers | ({"Cache-Control": "no-store"} if path.startswith(_NOT_KEPT) else {})


class HeadMiddleware:
    """Answers HEAD as GET. The server leaves the body of the answer away, and its Content-Length stays."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self.app(scope, receive, send)
