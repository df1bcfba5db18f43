"""Jobs in the database: what they wait for and by whom they are done stands in `leased_rows.py`."""

from datetime import timedelta

from sqlalchemy import null, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.deletion_tables import erasures
from src.adapters.database.engine import Database
from src.adapters.database.jobs.callbacks import enqueue_callback
from src.adapters.database.jobs.leased_rows import RETRY_AFTER_SECONDS, LeasedRows
from src.adapters.database.mapping import job_from_row, job_outcome, job_to_values, usage_to_values
from src.adapters.database.statements import change, know_user, one_at_a_time, only
from src.adapters.database.tables import translation_jobs as jobs
from src.adapters.database.tables import usage as usage_table
from src.domain.errors import NotFound, RateLimited
from src.domain.jobs import Job, JobStatus, Stage, UsageEvent, now

ENDED_JOBS_AT_ONCE = 500
"""How many old jobs one call of `ended_before` gives: the oldest. Who deletes them gets the next ones."""


class SqlJobRepository(LeasedRows[Job]):
    """Implements JobRepository and LeaseRepository."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, jobs, job_from_row, fresh={"stage": null()}, noun="jobs")

    async def add(self, job: Job, most_waiting: int, most_of_user: int | None = None) -> None:
        """Queue it: users of the same priority take turns, however many jobs each has waiting.

        Raises Overloaded when `most_waiting` jobs wait already; that many may be exceeded by those added just now.
        RateLimited when `most_of_user` of its user do, which holds exactly.
        """
        values = {**job_to_values(job), "turn": self._turn(job.user_id, job.priority)}

        async def work(connection: AsyncConnection) -> None:
            await self._require_room(connection, most_waiting)
            await know_user(self._database, connection, job.user_id, since=job.created_at)
            if most_of_user is not None:
                await one_at_a_time(connection, job.user_id)
                await self._require_turn(connection, job.user_id, most_of_user)
            await self._insert(connection, values)

        await self._database.write(work, repeatable=True)

    async def _require_turn(self, connection: AsyncConnection, user_id: str, most: int) -> None:
        last = select(jobs.c.id).where(self._pending, jobs.c.user_id == user_id).offset(most - 1).limit(1)
        if (await connection.execute(last)).first() is not None:
            detail = f"{most} jobs of yours are waiting already. Try again when one of them has begun."
            raise RateLimited(detail, retry_after_seconds=RETRY_AFTER_SECONDS)

    async def get(self, job_id: str, user_id: str | None = None) -> Job:
        row = only(await self._database.read(select(jobs).where(jobs.c.id == job_id)))
        if row is None or user_id not in (None, row.user_id):
            raise NotFound("There is no such job.")
        return job_from_row(row)

    async def save_stage(self, job: Job, stage: Stage) -> None:
        values = {"stage": stage.value, "updated_at": now()}
        update = jobs.update().where(self._ours(job), self._processing).values(values)
        await change(self._database, update, repeatable=True)

    async def finish(self, job: Job, usage: UsageEvent) -> bool:
        """Write the final state, count the use, and keep the callback to be sent: all or nothing. Repeating it changes
        nothing.

        False, and nothing is written: the row is gone, has ended otherwise, or was leased to another worker since.
        """

        async def work(connection: AsyncConnection) -> bool:
            if not await self._end(connection, job, job.status, {**job_outcome(job), "stage": null()}):
                return await self._has_ended(connection, job, job.status)
            await know_user(self._database, connection, usage.user_id)
            await connection.execute(usage_table.insert(), usage_to_values(usage))
            await enqueue_callback(self._database, connection, job)
            return True

        return await self._database.write(work, repeatable=True)

    async def is_erased(self, job_id: str) -> bool:
        listed = select(erasures.c.path).where(erasures.c.path == f"results/{job_id}/")
        return bool(await self._database.read(listed))

    async def ended_before(self, seconds_ago: float) -> list[Job]:
        """Completed and failed jobs last updated that long ago or longer: the oldest ENDED_JOBS_AT_ONCE of them."""
        ended = jobs.c.status.in_([JobStatus.COMPLETED.value, JobStatus.FAILED.value])
        old = jobs.c.updated_at <= now() - timedelta(seconds=seconds_ago)
        query = select(jobs).where(ended, old).order_by(jobs.c.updated_at).limit(ENDED_JOBS_AT_ONCE)
        rows = await self._database.read(query)
        return [job_from_row(row) for row in rows]
