"""Voice profiles, usage and idempotency keys in the database: every query, each method one short transaction.

The `work` that a method gives to `Database.write` may run again when the connection was lost under it.
All raise Overloaded and EngineUnavailable when the database cannot answer.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, null, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.mapping import profile_from_row, profile_to_values, usage_to_values
from src.adapters.database.statements import change, know_user, only
from src.adapters.database.tables import idempotency_keys as keys
from src.adapters.database.tables import usage
from src.adapters.database.tables import voice_profiles as profiles
from src.domain.errors import IdempotencyConflict, IdempotencyMismatch, NotFound
from src.domain.jobs import DailyUsage, UsageEvent, VoiceProfile, now

SWEEP_INTERVAL = timedelta(minutes=10)
"""How often `claim` deletes the idempotency keys that have expired."""


class SqlProfileRepository:
    """Implements ProfileRepository."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, profile: VoiceProfile) -> None:
        """Insert, or replace the one with the same id. Raises NotFound when that one is another user's."""
        values = profile_to_values(profile)
        row = self._database.insert(profiles).values(values)
        own = profiles.c.user_id == profile.user_id
        upsert = row.on_conflict_do_update(index_elements=["id"], set_=values, where=own)

        async def work(connection: AsyncConnection) -> None:
            await know_user(self._database, connection, profile.user_id)
            if (await connection.execute(upsert)).rowcount == 0:
                raise NotFound("There is no such voice profile.")

        await self._database.write(work)  # once: else a profile that was deleted since might come back

    async def get(self, profile_id: str, user_id: str) -> VoiceProfile:
        """Raises NotFound."""
        query = select(profiles).where(profiles.c.id == profile_id, profiles.c.user_id == user_id)
        row = only(await self._database.read(query))
        if row is None:
            raise NotFound("There is no such voice profile.")
        return profile_from_row(row)

    async def of_user(self, user_id: str) -> list[VoiceProfile]:
        """Newest first."""
        query = select(profiles).where(profiles.c.user_id == user_id).order_by(profiles.c.created_at.desc())
        rows = await self._database.read(query)
        return [profile_from_row(row) for row in rows]

    async def delete(self, profile_id: str) -> None:
        await change(self._database, profiles.delete().where(profiles.c.id == profile_id), repeatable=True)


class SqlUsageRepository:
    """Implements UsageRepository."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, event: UsageEvent) -> None:
        async def work(connection: AsyncConnection) -> None:
            await know_user(self._database, connection, event.user_id)
            await connection.execute(usage.insert(), usage_to_values(event))

        await self._database.write(work)

    async def by_day(self, user_id: str, days: int) -> list[DailyUsage]:
        """The last `days` days that have any use, newest first."""
        sums = [func.sum(usage.c[name]) for name in ("seconds_in", "seconds_out", "characters")]
        query = select(usage.c.day, func.count(), *sums).where(usage.c.user_id == user_id)
        query = query.group_by(usage.c.day).order_by(usage.c.day.desc()).limit(days)
        rows = await self._database.read(query)
        return [DailyUsage(day.isoformat(), *sums_of_day) for day, *sums_of_day in map(tuple, rows)]


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
        first = only(await self._database.read(query))
        if first is not None and first.fingerprint != fingerprint:
            raise IdempotencyMismatch("This Idempotency-Key was used with another request: use a new key.")
        if first is None or first.value is None:
            raise IdempotencyConflict(
                "The first request with this Idempotency-Key is being accepted. Try again.", retry_after_seconds=1.0
            )
        return str(first.value)

    async def complete(self, user_id: str, key: str, value: str) -> None:
        """Remember `value` under a claimed key."""
        kept = keys.update().where(_is_claim(user_id, key))
        kept = kept.values(value=value, expires_at=self._clock() + self._ttl)
        await change(self._database, kept, repeatable=True)

    async def release(self, user_id: str, key: str) -> None:
        """Forget a claim; a completed key stays."""
        await change(
            self._database, keys.delete().where(_is_claim(user_id, key))
        )  # once: else it might end a later claim

    async def sweep(self) -> int:
        """Delete what has expired, and say how many. `claim` does it now and then by itself."""
        return await change(self._database, keys.delete().where(keys.c.expires_at <= self._clock()), repeatable=True)

    async def _insert(self, user_id: str, key: str, fingerprint: str) -> bool:
        """Whether the key was free, or expired, and is now claimed: one statement, so that one of many callers wins."""
        time = self._clock()
        claim = {"fingerprint": fingerprint, "value": null(), "expires_at": time + self._claim_ttl}
        insert = self._database.insert(keys).values(user_id=user_id, key_hash=_hash(key), **claim)
        take_over = insert.on_conflict_do_update(
            index_elements=["user_id", "key_hash"], set_=claim, where=keys.c.expires_at <= time
        )
        return await change(self._database, take_over) == 1

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
