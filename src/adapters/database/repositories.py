"""Jobs, voice profiles, usage and idempotency keys in the database: every query, each method one short transaction.

The `work` that a method gives to `Database.write` may run again when the connection was lost under it.
All raise Overloaded and EngineUnavailable when the database cannot answer.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, UpdateBase, and_, func, null, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.mapping import (
    job_changes,
    job_from_row,
    job_to_values,
    profile_from_row,
    profile_to_values,
)
from src.adapters.database.tables import idempotency_keys as keys
from src.adapters.database.tables import translation_jobs as jobs
from src.adapters.database.tables import usage, users
from src.adapters.database.tables import voice_profiles as profiles
from src.domain.errors import IdempotencyConflict, IdempotencyMismatch, NotFound
from src.domain.jobs import DailyUsage, Job, JobStatus, UsageEvent, VoiceProfile, now

ENDED_JOBS_AT_ONCE = 500
"""How many old jobs one call of `ended_before` gives: the oldest. Who deletes them gets the next ones."""

SWEEP_INTERVAL = timedelta(minutes=10)
"""How often `claim` deletes the idempotency keys that have expired."""


async def _know_user(database: Database, connection: AsyncConnection, user_id: str) -> None:
    """Users come from tokens: a row is made at their first use, for the others to refer to."""
    row = database.insert(users).values(id=user_id, created_at=now())
    await connection.execute(row.on_conflict_do_nothing())


async def _change(database: Database, statement: UpdateBase, *, repeatable: bool = False) -> int:
    """Run one statement in a transaction of its own: how many rows it met."""

    async def work(connection: AsyncConnection) -> int:
        return (await connection.execute(statement)).rowcount

    return await database.write(work, repeatable=repeatable)


def _only(rows: Sequence[Row[Any]]) -> Row[Any] | None:
    """The row of a query by key."""
    return rows[0] if rows else None


class SqlJobRepository:
    """Implements JobRepository."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, job: Job) -> None:
        async def work(connection: AsyncConnection) -> None:
            await _know_user(self._database, connection, job.user_id)
            await connection.execute(jobs.insert(), job_to_values(job))

        await self._database.write(work)

    async def get(self, job_id: str, user_id: str | None = None) -> Job:
        """Raises NotFound, also when `user_id` is given and the job is another's."""
        row = _only(await self._database.read(select(jobs).where(jobs.c.id == job_id)))
        if row is None or user_id not in (None, row.user_id):
            raise NotFound("There is no such job.")
        return job_from_row(row)

    async def save(self, job: Job) -> bool:
        """Write everything that changes in a job's life. False when the row is gone."""
        change = jobs.update().where(jobs.c.id == job.id).values(job_changes(job))
        return await _change(self._database, change, repeatable=True) == 1

    async def with_status(self, *statuses: JobStatus) -> list[Job]:
        """Oldest first."""
        query = select(jobs).where(jobs.c.status.in_([status.value for status in statuses]))
        rows = await self._database.read(query.order_by(jobs.c.created_at))
        return [job_from_row(row) for row in rows]

    async def with_profile(self, profile_id: str) -> list[Job]:
        """Every job that spoke, or is to speak, with this profile."""
        query = select(jobs).where(jobs.c.voice_profile_id == profile_id)
        rows = await self._database.read(query)
        return [job_from_row(row) for row in rows]

    async def ended_before(self, seconds_ago: float) -> list[Job]:
        """Completed and failed jobs last updated that long ago or longer: the oldest ENDED_JOBS_AT_ONCE of them."""
        ended = jobs.c.status.in_([JobStatus.COMPLETED.value, JobStatus.FAILED.value])
        old = jobs.c.updated_at <= now() - timedelta(seconds=seconds_ago)
        query = select(jobs).where(ended, old).order_by(jobs.c.updated_at).limit(ENDED_JOBS_AT_ONCE)
        rows = await self._database.read(query)
        return [job_from_row(row) for row in rows]

    async def delete(self, job_id: str) -> None:
        await _change(self._database, jobs.delete().where(jobs.c.id == job_id), repeatable=True)


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
            await _know_user(self._database, connection, profile.user_id)
            if (await connection.execute(upsert)).rowcount == 0:
                raise NotFound("There is no such voice profile.")

        await self._database.write(work)  # once: else a profile that was deleted since might come back

    async def get(self, profile_id: str, user_id: str) -> VoiceProfile:
        """Raises NotFound."""
        query = select(profiles).where(profiles.c.id == profile_id, profiles.c.user_id == user_id)
        row = _only(await self._database.read(query))
        if row is None:
            raise NotFound("There is no such voice profile.")
        return profile_from_row(row)

    async def of_user(self, user_id: str) -> list[VoiceProfile]:
        """Newest first."""
        query = select(profiles).where(profiles.c.user_id == user_id).order_by(profiles.c.created_at.desc())
        rows = await self._database.read(query)
        return [profile_from_row(row) for row in rows]

    async def delete(self, profile_id: str) -> None:
        await _change(self._database, profiles.delete().where(profiles.c.id == profile_id), repeatable=True)


class SqlUsageRepository:
    """Implements UsageRepository."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, event: UsageEvent) -> None:
        values = {
            "user_id": event.user_id,
            "day": event.at.astimezone(UTC).date(),
            "at": event.at,
            "operation": event.operation,
            "outcome": event.outcome,
            "source_language": event.source_language,
            "target_language": event.target_language,
            "seconds_in": event.seconds_in,
            "seconds_out": event.seconds_out,
            "characters": event.characters,
            "transcription_engine": _without_route(event.transcription_engine),
            "translation_engine": _without_route(event.translation_engine),
            "voice_engine": _without_route(event.voice_engine),
        }

        async def work(connection: AsyncConnection) -> None:
            await _know_user(self._database, connection, event.user_id)
            await connection.execute(usage.insert(), values)

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
        first = _only(await self._database.read(query))
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
        change = change.values(value=value, expires_at=self._clock() + self._ttl)
        await _change(self._database, change, repeatable=True)

    async def release(self, user_id: str, key: str) -> None:
        """Forget a claim; a completed key stays."""
        await _change(
            self._database, keys.delete().where(_is_claim(user_id, key))
        )  # once: else it might end a later claim

    async def sweep(self) -> int:
        """Delete what has expired, and say how many. `claim` does it now and then by itself."""
        return await _change(self._database, keys.delete().where(keys.c.expires_at <= self._clock()), repeatable=True)

    async def _insert(self, user_id: str, key: str, fingerprint: str) -> bool:
        """Whether the key was free, or expired, and is now claimed: one statement, so that one of many callers wins."""
        time = self._clock()
        claim = {"fingerprint": fingerprint, "value": null(), "expires_at": time + self._claim_ttl}
        insert = self._database.insert(keys).values(user_id=user_id, key_hash=_hash(key), **claim)
        take_over = insert.on_conflict_do_update(
            index_elements=["user_id", "key_hash"], set_=claim, where=keys.c.expires_at <= time
        )
        return await _change(self._database, take_over) == 1

    async def _sweep_when_due(self) -> None:
        time = self._clock()
        if time >= self._next_sweep:
            self._next_sweep = time + SWEEP_INTERVAL
            await self.sweep()


def _without_route(engine: str | None) -> str | None:
    """`apertium (en>es>fr)` counts as apertium."""
    return engine and engine.partition(" (")[0][:64]


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _is(user_id: str, key: str) -> ColumnElement[bool]:
    return and_(keys.c.user_id == user_id, keys.c.key_hash == _hash(key))


def _is_claim(user_id: str, key: str) -> ColumnElement[bool]:
    return and_(_is(user_id, key), keys.c.value.is_(None))
