"""Who is calling: a bearer token, verified, becomes an Identity in `request.state.identity`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from src.api.middleware.this_machine import ThisMachine
from src.api.middleware.tokens import TokenVerifier
from src.domain.errors import RequestInvalid, Unauthenticated
from src.domain.identity import SCOPE_SERVICE, USER_ID, Identity, acting_service
from src.services.live.secrets import PREFIX

_TOKEN_PROTOCOL = "openai-insecure-api-key."  # noqa: S105 - what stands before a token
ON_BEHALF_OF = "X-On-Behalf-Of"
"""The header by which a service names the user that it acts for."""

SecretCheck = Callable[[Scope, str], Awaitable[Identity]]
"""Whose client secret it is. Raises Unauthenticated."""
SessionCheck = Callable[[Scope, Identity], Awaitable[None]]
ScopeOf = Callable[[str], str | None]
"""The scope that a path needs; None: it is open to callers without a token."""


@dataclass(eq=False)
class AuthMiddleware:
    """Asks every caller for a token with the scope that the path needs. Without a verifier every caller is the user
    `local`, who has all of them, and `loopback_only` says whose calls come from this machine; None: anybody's do.

    `check` is asked about each identity: it raises Unauthenticated for a token that was revoked. `secret_check`: about
    client secrets, which open WebSockets.
    """

    app: ASGIApp
    verifier: TokenVerifier | None
    scope_of: ScopeOf
    check: SessionCheck | None = None
    loopback_only: ThisMachine | None = None
    secret_check: SecretCheck | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            needed = self.scope_of(scope["path"])
            if needed is not None:
                identity = await self._identify(scope)
                identity.require(needed)
                scope.setdefault("state", {})["identity"] = identity
                acting_service.set(identity.by)
        await self.app(scope, receive, send)

    async def _identify(self, scope: Scope) -> Identity:
        headers = Headers(scope=scope)
        token = _socket_token(scope, headers)
        if self.verifier is None and self.loopback_only is not None:
            self.loopback_only.require(scope)
        if token is not None and token.startswith(PREFIX) and self.secret_check is not None:
            identity = await self.secret_check(scope, token)
        elif self.verifier is None:
            return _acting(Identity.local(), headers)
        else:
            named = "authorization" not in headers and token
            identity = _acting(await self.verifier.verify(named or _bearer_token(headers)), headers)
        if self.check is not None:
            await self.check(scope, identity)
        return identity


def _acting(caller: Identity, headers: Headers) -> Identity:
    """The caller, or the user that it acts for. Raises Forbidden for who may not, RequestInvalid for no user's id."""
    values = headers.getlist(ON_BEHALF_OF)
    if not values:
        return caller
    caller.require(SCOPE_SERVICE)
    try:
        user_id = values[0].encode("latin-1").decode()  # a header is bytes; those of a name are UTF-8
    except UnicodeDecodeError:
        user_id = ""
    if len(values) > 1 or not USER_ID.fullmatch(user_id):
        raise RequestInvalid(f"{ON_BEHALF_OF}: one user id of 1 to 200 characters, without spaces, in UTF-8.")
    return caller.acting_for(user_id)


def _socket_token(scope: Scope, headers: Headers) -> str | None:
    """Of a WebSocket. Browsers cannot send the header; their clients name the token among the subprotocols."""
    if scope["type"] != "websocket":
        return None
    if "authorization" in headers:
        return headers["authorization"].removeprefix("Bearer ")
    named = [name.removeprefix(_TOKEN_PROTOCOL) for name in scope["subprotocols"] if name.startswith(_TOKEN_PROTOCOL)]
    return named[0] if len(named) == 1 else None


def _bearer_token(headers: Headers) -> str:
    """Raises Unauthenticated when there is not exactly one bearer token."""
    values = headers.getlist("authorization")
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Send `Authorization: Bearer <token>`.")
    return token.strip()
