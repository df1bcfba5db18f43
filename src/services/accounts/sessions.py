"""Which tokens are refused although they are signed and have not expired."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta

from src.domain.errors import Unauthenticated
from src.domain.identity import (
    CLOCK_LEEWAY_SECONDS,
    MAX_TOKEN_SECONDS,
    Identity,
    Revocation,
    token_subject,
    user_subject,
)
from src.domain.jobs import now
from src.domain.repositories import Revocations
from src.services.accounts.audit import Audit


@dataclass(eq=False)
class Sessions:
    """`token_lifetime_seconds`: no token lives longer; the verifier refuses those that say so. That is how long a
    revocation is kept.
    """

    revocations: Revocations
    audit: Audit
    _: KW_ONLY
    token_lifetime_seconds: float = MAX_TOKEN_SECONDS
    clock: Callable[[], datetime] = now

    async def require(self, caller: Identity) -> None:
        """Raises Unauthenticated when the caller's token was revoked, Unavailable when nobody can tell.

        A service's token is refused when it, or all of the service's, were revoked; and, for acting as a user, when it
        is older than a revocation of that user: what the user lost may be a session at that service.
        """
        token = caller.token
        if token is None:
            return
        subjects = [user_subject(caller.user_id)]
        if caller.by is not None:
            subjects.append(user_subject(caller.by))
        if token.id is not None:
            subjects.append(token_subject(token.id))
        for revocation in await self.revocations.of(subjects):
            if token.issued_at <= revocation.issued_until.timestamp():
                raise Unauthenticated("The token was revoked. Get a new one.")

    async def revoke_token(self, token_id: str, by: str) -> Revocation:
        """Refuse the token with this `jti` from now on. `by` is who says so, for the audit log."""
        return await self._revoke(token_subject(token_id), by)

    async def revoke_user(self, user_id: str, by: str) -> Revocation:
        """Refuse all of the user's tokens that were issued until now, and half a minute longer: the issuer's clock may
        be ahead of ours. Services act for the user with tokens issued later.
        """
        return await self._revoke(user_subject(user_id), by)

    async def _revoke(self, subject: str, by: str) -> Revocation:
        leeway = timedelta(seconds=CLOCK_LEEWAY_SECONDS)
        issued_until = self.clock() + leeway
        revocation = Revocation(
            subject, issued_until, issued_until + timedelta(seconds=self.token_lifetime_seconds) + leeway
        )
        await self.revocations.add(revocation)
        await self.audit.record(by, "token.revoke", subject)
        return revocation
