"""Who may call that has no token, and whose pages may.

Browsers let any page open a WebSocket, without the question that CORS begins with.

Without tokens only this machine may call a service that listens on loopback: whoever else gets through is refused.

A page in this machine's browser could otherwise call it under a name of its own that it lets point at 127.0.0.1 (DNS
rebinding), as the browser takes the two for one site; and a server that was started by hand may listen elsewhere.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from src.api.middleware.rate_limit import address_of
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


_REFUSAL = (
    "Without tokens this service is called by this machine's own names only, such as 127.0.0.1 and localhost. "
    "Where a proxy before it has another name: PUBLIC_BASE_URL; where others may call: AUTH_MODE=jwt."
)


class ThisMachine:
    """`names`: what else than loopback addresses and `localhost` callers may write in the address, in lower case."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names | {"localhost"}

    def require(self, scope: Scope) -> None:
        """Raises Forbidden for a name, or a listening address, that is not this machine's own."""
        listening = address_of((scope.get("server") or ("", None))[0])  # None: a socket in the file system
        elsewhere = listening is not None and not listening.is_loopback
        if elsewhere or not self._is_own(Headers(scope=scope).getlist("host")):
            raise Forbidden(_REFUSAL)

    def _is_own(self, hosts: list[str]) -> bool:
        if len(hosts) != 1:
            return False
        try:
            name = urlsplit(f"//{hosts[0]}").hostname or ""
        except ValueError:
            return False
        address = address_of(name)
        return name in self._names or name.endswith(".localhost") or (address is not None and address.is_loopback)
