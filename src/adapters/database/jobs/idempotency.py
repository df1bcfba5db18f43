"""Idempotency keys in the database. Raises Overloaded and EngineUnavailable when it cannot answer."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, null, or_, select

from src.adapters.database.engine import Database
from src.adapters.database.statements import change, only
from src.adapters.database.tables import idempotency_keys as keys
from src.domain.errors import IdempotencyConflict, IdempotencyMismatch
from src.domain.jobs import now
from src.domain.repositories import Claim

SWEEP_INTERVAL = timedelta(minutes=10)
"""How often `claim` deletes what has expired."""


class SqlIdempotencyStore:
    """Implements IdempotencyStore.

    A completed key is kept for `ttl_seconds`. A claim that was neither completed nor released, because the process was
    killed, falls `claim_ttl_seconds` after its last renewal, so that the caller's next try is served. Keys are stored
    as hashes.
    """

    def __init__(
        self,
        database: Database,
        ttl_seconds: float = 24 * 3600.0,
        claim_ttl_seconds: float = 30.0,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._ttl = timedelta(seconds=ttl_seconds)
        self._claim_ttl = min(self._ttl, timedelta(seconds=claim_ttl_seconds))
        self._clock = clock
        self._next_sweep = clock()

    @property
    def claim_seconds(self) -> float:
        return self._claim_ttl.total_seconds()

    async def claim(self, claim: Claim) -> str | None:
        await self._sweep_when_due()
        if await self._insert(claim):
            return None
        query = select(keys.c.fingerprint, keys.c.value).where(_is_key_of(claim))
        first = only(await self._database.read(query))
        if first is not None and first.fingerprint != claim.fingerprint:
            raise IdempotencyMismatch("This Idempotency-Key was used with another request: use a new key.")
        if first is None or first.value is None:
            raise IdempotencyConflict(
                "The first request with this Idempotency-Key is at work. Try again.", retry_after_seconds=1.0
            )
        return str(first.value)

    async def renew(self, claim: Claim) -> bool:
        later = keys.update().where(_is_open(claim)).values(expires_at=self._clock() + self._claim_ttl)
        return await change(self._database, later, repeatable=True) == 1

    async def complete(self, claim: Claim, value: str) -> None:
        kept = keys.update().where(_is_own(claim)).values(value=value, expires_at=self._clock() + self._ttl)
        if await change(self._database, kept, repeatable=True) == 0:
            raise IdempotencyConflict(
                "This took so long that another request took its Idempotency-Key over. Try again.",
                retry_after_seconds=1.0,
            )

    async def release(self, claim: Claim) -> None:
        """A completed key stays."""
        await change(self._database, keys.delete().where(_is_open(claim)), repeatable=True)

    async def sweep(self) -> int:
        """Delete what has expired, and say how many. `claim` does it now and then by itself."""
        return await change(self._database, keys.delete().where(keys.c.expires_at <= self._clock()), repeatable=True)

    async def _insert(self, claim: Claim) -> bool:
        """Whether the key was free, or expired, and is now claimed: one statement, so that one of many callers wins."""
        time = self._clock()
        values = {
            "fingerprint": claim.fingerprint,
            "claim_id": claim.id,
            "value": null(),
            "expires_at": time + self._claim_ttl,
        }
        insert = self._database.insert(keys).values(user_id=claim.user_id, key_hash=_hash(claim.key), **values)
        take_over = insert.on_conflict_do_update(
            index_elements=["user_id", "key_hash"],
            set_=values,
            where=or_(keys.c.expires_at <= time, keys.c.claim_id == claim.id),
        )
        return await change(self._database, take_over, repeatable=True) == 1

    async def _sweep_when_due(self) -> None:
        time = self._clock()
        if time >= self._next_sweep:
            self._next_sweep = time + SWEEP_INTERVAL
            await self.sweep()


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _is_key_of(claim: Claim) -> ColumnElement[bool]:
    return and_(keys.c.user_id == claim.user_id, keys.c.key_hash == _hash(claim.key))


def _is_own(claim: Claim) -> ColumnElement[bool]:
    return and_(_is_key_of(claim), keys.c.claim_id == claim.id)


def _is_open(claim: Claim) -> ColumnElement[bool]:
    return and_(_is_own(claim), keys.c.value.is_(None))
