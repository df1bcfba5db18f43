"""Who is calling, with which token, and which tokens are refused before they expire."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

SCOPE_VOICE = "voice"
SCOPE_SERVICE = "voice:service"
SCOPE_ADMIN = "admin"
ALL_SCOPES = frozenset({SCOPE_VOICE, SCOPE_SERVICE, SCOPE_ADMIN})

CLOCK_LEEWAY_SECONDS = 30.0
"""How far the clocks of those who issue tokens may be from ours."""

current_user: ContextVar[str] = ContextVar("current_user", default="")
"""Whose work the running task does: queues in front of the engines let users take turns by it."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a revocation looks at. `id` is the claim `jti`, which a token need not have; `issued_at` is in Unix
    seconds.
    """

    id: str | None
    issued_at: float


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller: the user whose things it reads and writes, and what else it may do."""

    user_id: str
    scopes: frozenset[str] = frozenset()
    token: Token | None = field(default=None, compare=False)  # None: the caller was not asked for one

    @classmethod
    def local(cls) -> Self:
        """The one user of a service that only this machine may call."""
        return cls("local", ALL_SCOPES)

    @property
    def may_act_for_others(self) -> bool:
        """Whether this is a gateway that may name another user."""
        return SCOPE_SERVICE in self.scopes


@dataclass(frozen=True, slots=True)
class Revocation:
    """The tokens of `subject` that were issued until `issued_until` are refused. By `expires_at` the last of them has
    expired by itself, and the revocation may be forgotten.
    """

    subject: str
    issued_until: datetime
    expires_at: datetime


def token_subject(token_id: str) -> str:
    """The one token with this `jti`."""
    return f"token:{token_id}"


def user_subject(user_id: str) -> str:
    """Every token of a user."""
    return f"user:{user_id}"
