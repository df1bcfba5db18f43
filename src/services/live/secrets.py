"""Tokens that open one live session: for browsers, which shall not have the token of whoever serves them."""

import hashlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from src.domain.errors import Unauthenticated
from src.domain.identity import SCOPE_VOICE, Identity, Token
from src.domain.ports import Cache, RateCounter

PREFIX = "ek_"
LIFETIME_SECONDS = 60.0
"""At most, so that one use in a minute is one use in a life."""

_POLICY = "client_secret"


@dataclass(frozen=True, slots=True)
class Opening:
    """What a secret stands for: whose session it is, its id, and how it begins (of the API's own form)."""

    caller: Identity
    session_id: str
    session: dict[str, Any]


@dataclass(eq=False)
class ClientSecrets:
    """`counter` sees to it that a secret is used once in all processes. Without Redis a secret opens a session of the
    process that made it.
    """

    cache: Cache
    counter: RateCounter
    clock: Callable[[], float] = time.time

    async def issue(self, opening: Opening, lifetime_seconds: float) -> tuple[str, int]:
        """The secret, and the Unix seconds until which it is good."""
        lifetime = min(lifetime_seconds, LIFETIME_SECONDS)
        secret = PREFIX + secrets.token_urlsafe(32)
        await self.cache.set(_key(secret), _pack(opening), lifetime)
        return secret, int(self.clock() + lifetime)

    async def redeem(self, secret: str) -> Opening:
        """Raises Unauthenticated for one that is not known, not good any more, or was used."""
        packed = await self.cache.get(_key(secret))
        if packed is None or not (await self.counter.hit(_POLICY, 1, _key(secret))).allowed:
            raise Unauthenticated("The client secret is not known, has expired, or was used. Get a new one.")
        await self.cache.delete(_key(secret))
        return _unpack(packed)


def _key(secret: str) -> str:
    """So that no secret shows in a list of keys."""
    return f"client-secret:{hashlib.sha256(secret.encode(errors='replace')).hexdigest()}"


def _pack(opening: Opening) -> bytes:
    caller = opening.caller
    token = None if caller.token is None else [caller.token.id, caller.token.issued_at, caller.token.expires_at]
    return json.dumps([caller.user_id, caller.by, token, opening.session_id, opening.session]).encode()


def _unpack(packed: bytes) -> Opening:
    """Whoever comes with a secret may use the service, and nothing else that its maker may."""
    user_id, by, token, session_id, session = json.loads(packed)
    caller = Identity(user_id, frozenset({SCOPE_VOICE}), None if token is None else Token(*token), by)
    return Opening(caller, session_id, session)
