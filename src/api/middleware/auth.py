"""Who is calling: a bearer token, verified, becomes an Identity in `request.state.identity`."""

from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from src.api.middleware.tokens import TokenVerifier
from src.domain.errors import Unauthenticated
from src.domain.identity import Identity

SessionCheck = Callable[[Scope, Identity], Awaitable[None]]


class AuthMiddleware:
    """Asks every caller for a token but on public paths. Without a verifier every caller is the user `local`.

    `check` is asked about each identity: it raises Unauthenticated for a token that was revoked.
    """

    def __init__(
        self,
        app: ASGIApp,
        verifier: TokenVerifier | None,
        is_public: Callable[[str], bool],
        check: SessionCheck | None = None,
    ) -> None:
        self.app = app
        self._verifier = verifier
        self._is_public = is_public
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            state = scope.setdefault("state", {})
            if self._verifier is None:
                state["identity"] = Identity.local()
            elif not self._is_public(scope["path"]):
                identity = await self._verifier.verify(_bearer_token(Headers(scope=scope)))
                if self._check is not None:
                    await self._check(scope, identity)
                state["identity"] = identity
        await self.app(scope, receive, send)


def _bearer_token(headers: Headers) -> str:
    """Raises Unauthenticated when there is not exactly one bearer token."""
    values = headers.getlist("authorization")
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Send `Authorization: Bearer <token>`.")
    return token.strip()
