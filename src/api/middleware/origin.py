"""Whose pages may open a WebSocket: browsers let any page do so, without the question that CORS begins with."""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from src.domain.errors import Forbidden


class OriginMiddleware:
    """Refuses pages of other origins than `origins` and this server's own. `*` among them: none is. Who is no browser
    sends no Origin.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self.app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Forbidden."""
        if scope["type"] == "websocket" and "*" not in self._origins:
            headers = Headers(scope=scope)
            for origin in headers.getlist("origin"):
                if origin not in self._origins and not _is_own(origin, headers.get("host", "")):
                    raise Forbidden("A page of this origin may not call this service: see CORS_ORIGINS.")
        await self.app(scope, receive, send)


def _is_own(origin: str, host: str) -> bool:
    """By its host and port: behind a proxy that has TLS this server does not know its own scheme."""
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
