"""Bearer tokens: whose they are, and whether to believe them."""

import base64
import binascii
import json
import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from jose import jws
from jose.exceptions import JOSEError

from src.domain.errors import Unauthenticated
from src.domain.identity import CLOCK_LEEWAY_SECONDS, MAX_TOKEN_SECONDS, USER_ID, Identity, Token
from src.utils.token_keys import TokenKey

_MAX_TOKEN_CHARACTERS = 8192
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)")
_TOKEN_ID = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")
"""It goes into a database: see USER_ID."""

_FOREIGN_KEYS = frozenset({"jku", "jwk", "x5u", "x5c"})
"""Header members by which a token would bring the key that it is checked with."""


class KeySource(Protocol):
    """Where the keys are that tokens are verified with."""

    @property
    def algorithms(self) -> frozenset[str]:
        """Those that its keys may have: one secret's, or those of public keys, and never both."""

    async def key_for(self, kid: object) -> TokenKey | None:
        """The key for a token whose header has this `kid`, whatever that is; None: there is none.

        Raises Unavailable when nobody can tell now.
        """


class OneKey:
    """A key of the operator's: the only one, so that a token need not name it."""

    def __init__(self, key: TokenKey) -> None:
        self._key = key
        self.algorithms = frozenset({key.algorithm})

    async def key_for(self, kid: object) -> TokenKey | None:
        return self._key


class TokenVerifier:
    """JSON Web Tokens. python-jose checks the signature, with one key and that key's one algorithm; every claim is
    checked here.

    python-jose takes a token without `exp` or `aud`, lets a date be a text, and knows no `crit`.
    """

    def __init__(
        self,
        keys: KeySource,
        issuer: str,
        audience: str,
        *,
        leeway_seconds: float = CLOCK_LEEWAY_SECONDS,
        max_lifetime_seconds: float = MAX_TOKEN_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`max_lifetime_seconds`: tokens that live longer from `iat` to `exp` are refused.

        Raises ValueError for a leeway outside 0 to 60 s, an empty issuer or audience.
        """
        if not 0 <= leeway_seconds <= 60:
            raise ValueError("the leeway must be between 0 and 60 s")
        if not issuer or not audience:
            raise ValueError("issuer and audience must not be empty")
        self._keys = keys
        self._algorithms = tuple(keys.algorithms)  # a header's `alg` may be something that no set can be asked for
        self._issuer = issuer
        self._audience = audience
        self._leeway_seconds = leeway_seconds
        self._max_lifetime_seconds = max_lifetime_seconds
        self._clock = clock

    async def verify(self, token: str) -> Identity:
        """Raises Unauthenticated for anything but a valid token for this service, Unavailable when nobody can tell."""
        claims = await self._signed_claims(token)
        self._check_times(claims)
        audiences = claims.get("aud")
        if self._audience not in (audiences if isinstance(audiences, list) else [audiences]):
            raise Unauthenticated("The token's `aud` is not this service.")
        if claims.get("iss") != self._issuer:
            raise Unauthenticated("The token's `iss` is not the issuer that this service trusts.")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not USER_ID.fullmatch(subject):
            raise Unauthenticated("The token needs a `sub` of 1 to 200 characters.")
        scope = claims.get("scope", "")
        scopes = frozenset(scope.split()) if isinstance(scope, str) else frozenset()
        return Identity(subject, scopes, Token(_token_id(claims), _time(claims, "iat"), _time(claims, "exp")))

    async def _signed_claims(self, token: str) -> dict[str, Any]:
        header = _header(token)
        key = await self._keys.key_for(header.get("kid")) if header.get("alg") in self._algorithms else None
        if key is None or header["alg"] != key.algorithm:
            raise _untrusted()
        try:
            claims = json.loads(jws.verify(token, key.key, algorithms=[key.algorithm]))
        except (JOSEError, ValueError, TypeError, RecursionError):
            raise _untrusted() from None
        if not isinstance(claims, dict):
            raise _untrusted()
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


def _header(token: str) -> Mapping[str, Any]:
    if len(token) > _MAX_TOKEN_CHARACTERS:
        raise Unauthenticated("The token is too long.")
    written = _COMPACT.fullmatch(token)
    if written is None or not _is_canonical(written[1]):
        raise _untrusted()
    try:
        header: Mapping[str, Any] = jws.get_unverified_header(token)
    except (JOSEError, ValueError, TypeError, RecursionError):
        raise _untrusted() from None
    if "crit" in header or not _FOREIGN_KEYS.isdisjoint(header):
        raise Unauthenticated("The token's header asks for what this service does not do.")
    return header


def _is_canonical(text: str) -> bool:
    """Whether it is base64url as RFC 7515 has it. python-jose reads other texts as the same bytes, so that one token
    could be written in many ways; in header and claims the signature finds them out.
    """
    padded = text + "=" * (-len(text) % 4)
    try:
        return base64.urlsafe_b64encode(base64.urlsafe_b64decode(padded)).decode() == padded
    except binascii.Error:
        return False


def _untrusted() -> Unauthenticated:
    return Unauthenticated("The token is not one that this service trusts. Get a new one.")


def _time(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unauthenticated(f"The token needs `{name}` as a number of seconds.")
    return float(value)


def _token_id(claims: dict[str, Any]) -> str | None:
    """What a token is revoked by: one that has none can be revoked only with all others of its user."""
    value = claims.get("jti")
    if value is None or (isinstance(value, str) and _TOKEN_ID.fullmatch(value)):
        return value
    raise Unauthenticated("The token's `jti` must be a text of 1 to 200 characters.")
