"""Idempotency keys in the database."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, null, select

from src.adapters.database.engine import Database
from src.adapters.database.tables import idempotency_keys as keys
from src.domain.errors import IdempotencyConflict, IdempotencyMismatch
from src.domain.jobs import now

SWEEP_INTERVAL = timedelta(minutes=10)


class SqlIdempotencyStore:
    """Implements IdempotencyStore.

    A completed key is kept for `ttl_seconds`. A claim that was neither completed nor released, because the process was
    killed, falls after `claim_ttl_seconds`, so that the caller's next try is served. Keys are stored as hashes.
    """

    def __init__(
        self,
        database: Database,
        ttl_seconds: float,
        claim_ttl_seconds: float = 120.0,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._ttl = timedelta(seconds=ttl_seconds)
        self._claim_ttl = min(self._ttl, timedelta(seconds=claim_ttl_seconds))
        self._clock = clock
        self._next_sweep = clock()

    async def claim(self, user_id: str, key: str, fingerprint: str) -> str | None:
        """None: the key is this request's. A text: the value that the first request with this key left.

        Raises IdempotencyConflict while the first is in flight, IdempotencyMismatch when its fingerprint was another.
        """
        await self._sweep_when_due()
        if await self._insert(user_id, key, fingerprint):
            return None
        query = select(keys.c.fingerprint, keys.c.value).where(_is(user_id, key))
        async with self._database.reading() as connection:
            first = (await connection.execute(query)).one_or_none()
        if first is not None and first.fingerprint != fingerprint:
            raise IdempotencyMismatch("This Idempotency-Key was used with another request: use a new key.")
        if first is None or first.value is None:
            raise IdempotencyConflict(
                "The first request with this Idempotency-Key is being accepted. Try again.", retry_after_seconds=1.0
            )
        return str(first.value)

    async def complete(self, user_id: str, key: str, value: str) -> None:
        """Remember `value` under a claimed key."""
        change = keys.update().where(_is_claim(user_id, key))
        async with self._database.writing() as connection:
            await connection.execute(change.values(value=value, expires_at=self._clock() + self._ttl))

    async def release(self, user_id: str, key: str) -> None:
        """Forget a claim; a completed key stays."""
        async with self._database.writing() as connection:
            await connection.execute(keys.delete().where(_is_claim(user_id, key)))

    async def sweep(self) -> int:
        """Delete what has expired, and say how many. `claim` does it now and then by itself."""
        async with self._database.writing() as connection:
            return (await connection.execute(keys.delete().where(keys.c.expires_at <= self._clock()))).rowcount

    async def _insert(self, user_id: str, key: str, fingerprint: str) -> bool:
        """Whether the key was free, or expired, and is now claimed: one statement, so that one of many callers wins."""
        time = self._clock()
        claim = {"fingerprint": fingerprint, "value": null(), "expires_at": time + self._claim_ttl}
        insert = self._database.insert(keys).values(user_id=user_id, key_hash=_hash(key), **claim)
        take_over = insert.on_conflict_do_update(
            index_elements=["user_id", "key_hash"], set_=claim, where=keys.c.expires_at <= time
        )
        async with self._database.writing() as connection:
            return (await connection.execute(take_over)).rowcount == 1

    async def _sweep_when_due(self) -> None:
        time = self._clock()
        if time >= self._next_sweep:
            self._next_sweep = time + SWEEP_INTERVAL
            await self.sweep()


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _is(user_id: str, key: str) -> ColumnElement[bool]:
    return and_(keys.c.user_id == user_id, keys.c.key_hash == _hash(key))


def _is_claim(user_id: str, key: str) -> ColumnElement[bool]:
    return and_(_is(user_id, key), keys.c.value.is_(None))
