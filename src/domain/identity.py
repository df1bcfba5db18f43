"""Who is calling, with which token, which tokens are refused before they expire, and which request it is."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from src.domain.errors import Forbidden

SCOPE_VOICE = "voice"
SCOPE_SERVICE = "voice:service"
SCOPE_ADMIN = "admin"
SCOPES = {
    SCOPE_VOICE: "use the service: translate, transcribe, clone, and keep jobs and voice profiles",
    SCOPE_SERVICE: "act for other users, as a gateway does, beside `voice`",
    SCOPE_ADMIN: "revoke tokens and read the audit log",
}
"""What each of them allows, and nothing else: none is part of another."""
ALL_SCOPES = frozenset(SCOPES)

USER_ID = re.compile(r"[^\x00-\x20\x7f\ud800-\udfff]{1,200}")
"""What a user may be called. It goes into a database, which takes neither half a letter nor a NUL."""

CLOCK_LEEWAY_SECONDS = 30.0
"""How far the clocks of those who issue tokens may be from ours."""

MAX_TOKEN_SECONDS = 366 * 24 * 3600.0
"""From `iat` to `exp`: revocations are kept for as long."""

current_user: ContextVar[str] = ContextVar("current_user", default="")
"""Whose work the running task does: queues in front of the engines let users take turns by it."""


acting_service: ContextVar[str | None] = ContextVar("acting_service", default=None)
"""Who really calls, when the running task does what a service asked for another user: the audit log has it, too."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a revocation looks at. `id` is the claim `jti`, which a token need not have; times are in Unix seconds."""

    id: str | None
    issued_at: float
    expires_at: float = math.inf


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller: the user whose things it reads and writes, and what else it may do."""

    user_id: str
    scopes: frozenset[str] = frozenset()
    token: Token | None = field(default=None, compare=False)  # None: the caller was not asked for one
    by: str | None = None  # the service that calls for this user; None: the user does

    @classmethod
    def local(cls) -> Self:
        """The one user of a service that only this machine may call."""
        return cls("local", ALL_SCOPES)

    @property
    def named(self) -> str | None:
        """The user whom this caller's addresses have to name; None: it is the user itself."""
        return None if self.by is None else self.user_id

    def require(self, scope: str) -> None:
        """Raises Forbidden without it."""
        if scope not in self.scopes:
            raise Forbidden(f"The token lacks the scope `{scope}`: {SCOPES[scope]}.")

    def acting_for(self, user_id: str) -> Self:
        """A service as this user, who has a user's rights and no others. Raises Forbidden for who is no service."""
        self.require(SCOPE_SERVICE)
        return replace(self, user_id=user_id, scopes=self.scopes & {SCOPE_VOICE}, by=self.user_id)


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


@dataclass(frozen=True, slots=True)
class Trace:
    """`request_id`: the caller's X-Request-ID, or ours. `traceparent`: W3C Trace Context. Both are checked."""

    request_id: str
    traceparent: str

    @property
    def trace_id(self) -> str:
        return self.traceparent.split("-")[1]

    @property
    def span_id(self) -> str:
        """Of the caller's span."""
        return self.traceparent.split("-")[2]


current_trace: ContextVar[Trace | None] = ContextVar("current_trace", default=None)
"""None outside of a request and of what is done for one."""

current_job: ContextVar[str | None] = ContextVar("current_job", default=None)
"""The id of the translation job that is being done."""


@contextmanager
def working_for(trace: Trace | None, job_id: str | None = None) -> Iterator[None]:
    """What is logged inside is logged under these."""
    before = current_trace.set(trace), current_job.set(job_id)
    try:
        yield
    finally:
        current_trace.reset(before[0])
        current_job.reset(before[1])
