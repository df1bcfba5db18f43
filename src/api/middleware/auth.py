"""Who is calling: a bearer token, verified, becomes an Identity in `request.state.identity`."""

import json
import math
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from jose import jws
from jose.backends.native import HMACKey
from jose.exceptions import JOSEError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from src.domain.errors import Unauthenticated
from src.domain.identity import CLOCK_LEEWAY_SECONDS, Identity, Token

_ALGORITHM = "HS256"
_MIN_SECRET_BYTES = 32
_MAX_TOKEN_CHARACTERS = 8192
_MAX_ID_CHARACTERS = 200
_SUBJECT = re.compile(r"[^\x00-\x20\x7f]{1,200}")

SessionCheck = Callable[[Scope, Identity], Awaitable[None]]


class TokenVerifier:
    """JSON Web Tokens, HS256 and nothing else. python-jose checks the signature; every claim is checked here.

    python-jose takes a token without `exp` or `aud`, lets a date be a text, and knows no `crit`.
    """

    def __init__(
        self,
        secret: str,
        issuer: str,
        audience: str,
        *,
        leeway_seconds: float = CLOCK_LEEWAY_SECONDS,
        max_lifetime_seconds: float = math.inf,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`max_lifetime_seconds`: tokens that live longer from `iat` to `exp` are refused.

        Raises ValueError for a secret under 32 bytes, a leeway outside 0 to 60 s, an empty issuer or audience.
        """
        if len(secret.encode()) < _MIN_SECRET_BYTES:
            raise ValueError(f"the token secret needs at least {_MIN_SECRET_BYTES} bytes")
        if not 0 <= leeway_seconds <= 60:
            raise ValueError("the leeway must be between 0 and 60 s")
        if not issuer or not audience:
            raise ValueError("issuer and audience must not be empty")
        # a Key object: given a text, python-jose would first try to read it as a JSON list of keys
        self._key = HMACKey(secret, _ALGORITHM)
        self._issuer = issuer
        self._audience = audience
        self._leeway_seconds = leeway_seconds
        self._max_lifetime_seconds = max_lifetime_seconds
        self._clock = clock

    def verify(self, token: str) -> Identity:
        """Raises Unauthenticated for anything but a valid token for this service."""
        claims = self._signed_claims(token)
        self._check_times(claims)
        audiences = claims.get("aud")
        if self._audience not in (audiences if isinstance(audiences, list) else [audiences]):
            raise Unauthenticated("The token's `aud` is not this service.")
        if claims.get("iss") != self._issuer:
            raise Unauthenticated("The token's `iss` is not the issuer that this service trusts.")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            raise Unauthenticated("The token needs a `sub` of 1 to 200 characters.")
        scope = claims.get("scope", "")
        scopes = frozenset(scope.split()) if isinstance(scope, str) else frozenset()
        return Identity(subject, scopes, Token(_token_id(claims), _time(claims, "iat")))

    def _signed_claims(self, token: str) -> dict[str, Any]:
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise Unauthenticated("The token is too long.")
        try:
            header = jws.get_unverified_header(token)
            claims = json.loads(jws.verify(token, self._key, algorithms=[_ALGORITHM]))
        except (JOSEError, ValueError, TypeError, RecursionError):
            raise Unauthenticated("The token is not one that this service trusts. Get a new one.") from None
        if "crit" in header or not isinstance(claims, dict):
            raise Unauthenticated("The token is not one that this service understands.")
        return claims

    def _check_times(self, claims: dict[str, Any]) -> None:
        now, leeway = self._clock(), self._leeway_seconds
        if _time(claims, "exp") <= now - leeway:
            raise Unauthenticated("The token has expired. Get a new one.")
        if _time(claims, "iat") > now + leeway:
            raise Unauthenticated("The token's `iat` is in the future.")
        if _time(claims, "exp") - _time(claims, "iat") > self._max_lifetime_seconds:
            raise Unauthenticated("The token lives longer than this service allows. Get one that expires sooner.")
        if "nbf" in claims and _time(claims, "nbf") > now + leeway:
            raise Unauthenticated("The token is not valid yet.")


def _time(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unauthenticated(f"The token needs `{name}` as a number of seconds.")
    return float(value)


def _token_id(claims: dict[str, Any]) -> str | None:
    """What a token is revoked by: one that has none can be revoked only with all others of its user."""
    value = claims.get("jti")
    if value is not None and not (isinstance(value, str) and 1 <= len(value) <= _MAX_ID_CHARACTERS):
        raise Unauthenticated(f"The token's `jti` must be a text of 1 to {_MAX_ID_CHARACTERS} characters.")
    return value


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
                identity = self._verifier.verify(_bearer_token(Headers(scope=scope)))
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
