"""Who is calling: a bearer token, verified, becomes an Identity in `request.state.identity`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from src.api.middleware.this_machine import ThisMachine
from src.api.middleware.tokens import TokenVerifier
from src.domain.errors import RequestInvalid, Unauthenticated
from src.domain.identity import SCOPE_SERVICE, USER_ID, Identity, acting_service

ON_BEHALF_OF = "X-On-Behalf-Of"
"""The header by which a service names the user that it acts for."""

SessionCheck = Callable[[Scope, Identity], Awaitable[None]]
ScopeOf = Callable[[str], str | None]
"""The scope that a path needs; None: it is open to callers without a token."""


@dataclass(eq=False)
class AuthMiddleware:
    """Asks every caller for a token with the scope that the path needs. Without a verifier every caller is the user
    `local`, who has all of them, and `loopback_only` says whose calls come from this machine; None: anybody's do.

    `check` is asked about each identity: it raises Unauthenticated for a token that was revoked.
    """

    app: ASGIApp
    verifier: TokenVerifier | None
    scope_of: ScopeOf
    check: SessionCheck | None = None
    loopback_only: ThisMachine | None = None

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
        if self.verifier is None:
            if self.loopback_only is not None:
                self.loopback_only.require(scope)
            return _acting(Identity.local(), headers)
        identity = _acting(await self.verifier.verify(_bearer_token(headers)), headers)
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


def _bearer_token(headers: Headers) -> str:
    """Raises Unauthenticated when there is not exactly one bearer token."""
    values = headers.getlist("authorization")
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Send `Authorization: Bearer <token>`.")
    return token.strip()
