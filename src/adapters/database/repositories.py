"""Jobs, voice profiles and usage in the database. Each method is one short transaction, and every query is here.

All raise Overloaded and EngineUnavailable when the database cannot answer.
"""

from datetime import UTC, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.mapping import (
    job_changes,
    job_from_row,
    job_to_values,
    profile_from_row,
    profile_to_values,
)
from src.adapters.database.tables import translation_jobs as jobs
from src.adapters.database.tables import usage, users
from src.adapters.database.tables import voice_profiles as profiles
from src.domain.errors import NotFound
from src.domain.jobs import DailyUsage, Job, JobStatus, UsageEvent, VoiceProfile, now

ENDED_JOBS_AT_ONCE = 500
"""How many old jobs one call of `ended_before` gives: the oldest. Who deletes them gets the next ones."""


async def _know_user(database: Database, connection: AsyncConnection, user_id: str) -> None:
    """Users come from tokens: a row is made at their first use, for the others to refer to."""
    row = database.insert(users).values(id=user_id, created_at=now())
    await connection.execute(row.on_conflict_do_nothing())


class SqlJobRepository:
    """Implements JobRepository."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, job: Job) -> None:
        async with self._database.writing() as connection:
            await _know_user(self._database, connection, job.user_id)
            await connection.execute(jobs.insert(), job_to_values(job))

    async def get(self, job_id: str, user_id: str | None = None) -> Job:
        """Raises NotFound, also when `user_id` is given and the job is another's."""
        query = select(jobs).where(jobs.c.id == job_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None or user_id not in (None, row.user_id):
            raise NotFound("There is no such job.")
        return job_from_row(row)

    async def save(self, job: Job) -> bool:
        """Write everything that changes in a job's life. False when the row is gone."""
        change = jobs.update().where(jobs.c.id == job.id).values(job_changes(job))
        async with self._database.writing() as connection:
            return (await connection.execute(change)).rowcount == 1

    async def with_status(self, *statuses: JobStatus) -> list[Job]:
        """Oldest first."""
        query = select(jobs).where(jobs.c.status.in_([status.value for status in statuses]))
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(jobs.c.created_at))
        return [job_from_row(row) for row in rows]

    async def with_profile(self, profile_id: str) -> list[Job]:
        """Every job that spoke, or is to speak, with this profile."""
        query = select(jobs).where(jobs.c.voice_profile_id == profile_id)
        async with self._database.reading() as connection:
            rows = await connection.execute(query)
        return [job_from_row(row) for row in rows]

    async def ended_before(self, seconds_ago: float) -> list[Job]:
        """Completed and failed jobs last updated that long ago or longer: the oldest ENDED_JOBS_AT_ONCE of them."""
        ended = jobs.c.status.in_([JobStatus.COMPLETED.value, JobStatus.FAILED.value])
        old = jobs.c.updated_at <= now() - timedelta(seconds=seconds_ago)
        query = select(jobs).where(ended, old).order_by(jobs.c.updated_at).limit(ENDED_JOBS_AT_ONCE)
        async with self._database.reading() as connection:
            rows = await connection.execute(query)
        return [job_from_row(row) for row in rows]

    async def delete(self, job_id: str) -> None:
        async with self._database.writing() as connection:
            await connection.execute(jobs.delete().where(jobs.c.id == job_id))


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
        async with self._database.writing() as connection:
            await _know_user(self._database, connection, profile.user_id)
            if (await connection.execute(upsert)).rowcount == 0:
                raise NotFound("There is no such voice profile.")

    async def get(self, profile_id: str, user_id: str) -> VoiceProfile:
        """Raises NotFound."""
        query = select(profiles).where(profiles.c.id == profile_id, profiles.c.user_id == user_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("There is no such voice profile.")
        return profile_from_row(row)

    async def of_user(self, user_id: str) -> list[VoiceProfile]:
        """Newest first."""
        query = select(profiles).where(profiles.c.user_id == user_id).order_by(profiles.c.created_at.desc())
        async with self._database.reading() as connection:
            rows = await connection.execute(query)
        return [profile_from_row(row) for row in rows]

    async def delete(self, profile_id: str) -> None:
        async with self._database.writing() as connection:
            await connection.execute(profiles.delete().where(profiles.c.id == profile_id))


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
        }
        async with self._database.writing() as connection:
            await _know_user(self._database, connection, event.user_id)
            await connection.execute(usage.insert(), values)

    async def by_day(self, user_id: str, days: int) -> list[DailyUsage]:
        """The last `days` days that have any use, newest first."""
        sums = [func.sum(usage.c[name]) for name in ("seconds_in", "seconds_out", "characters")]
        query = select(usage.c.day, func.count(), *sums).where(usage.c.user_id == user_id)
        query = query.group_by(usage.c.day).order_by(usage.c.day.desc()).limit(days)
        async with self._database.reading() as connection:
            rows = await connection.execute(query)
        return [DailyUsage(day.isoformat(), *counts) for day, *counts in rows]
