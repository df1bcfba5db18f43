"""Jobs in the database: what they wait for and by whom they are done stands in `leased_rows.py`."""

from datetime import timedelta

from sqlalchemy import ColumnElement, Select, func, literal, null, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.deletion_tables import erasures
from src.adapters.database.engine import Database
from src.adapters.database.jobs.callbacks import enqueue_callback
from src.adapters.database.jobs.leased_rows import RETRY_AFTER_SECONDS, LeasedRows, is_in, queue_order
from src.adapters.database.mapping import job_from_row, job_outcome, job_to_values, usage_to_values
from src.adapters.database.statements import change, know_user, one_at_a_time, only
from src.adapters.database.tables import Id, UtcDateTime
from src.adapters.database.tables import translation_jobs as jobs
from src.adapters.database.tables import usage as usage_table
from src.domain.errors import NotFound, RateLimited
from src.domain.jobs import Job, JobStatus, Pace, Place, Stage, UsageEvent, now

ENDED_JOBS_AT_ONCE = 500
"""How many old jobs one call of `ended_before` gives: the oldest. Who deletes them gets the next ones."""


class SqlJobRepository(LeasedRows[Job]):
    """Implements JobRepository and LeaseRepository."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, jobs, job_from_row, fresh={"stage": null()}, noun="jobs")

    async def add(self, job: Job, most_waiting: int, most_of_user: int | None = None) -> None:
        """`most_waiting` may be exceeded by those added just now, `most_of_user` holds exactly."""
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
        """The callback to be sent is kept with the rest: all or nothing."""

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
        """The oldest ENDED_JOBS_AT_ONCE of them."""
        ended = jobs.c.status.in_([JobStatus.COMPLETED.value, JobStatus.FAILED.value])
        old = jobs.c.updated_at <= now() - timedelta(seconds=seconds_ago)
        query = select(jobs).where(ended, old).order_by(jobs.c.updated_at).limit(ENDED_JOBS_AT_ONCE)
        rows = await self._database.read(query)
        return [job_from_row(row) for row in rows]


_COMPLETED_LAST = 20
"""Jobs whose mean time is the pace."""


class SqlJobViews:
    """Implements JobViews."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_user(
        self, user_id: str, most: int, after: Place | None = None, statuses: frozenset[JobStatus] = frozenset()
    ) -> list[Job]:
        """Each state is read through its own part of an index, as far as this page goes: a page costs the same however
        many jobs in other states the user has.
        """
        wanted = [jobs.c.user_id == user_id, *([_is_after(after)] if after else [])]
        query = _newest(wanted, most)
        if statuses and statuses != frozenset(JobStatus):
            parts = [_newest([*wanted, jobs.c.status == status.value], most).subquery() for status in sorted(statuses)]
            found = union_all(*map(select, parts)).subquery()
            query = select(found).order_by(found.c.created_at.desc(), found.c.id.desc()).limit(most)
        return [job_from_row(row) for row in await self._database.read(query)]

    async def ahead_of(self, job_id: str, most: int) -> int:
        this = jobs.alias()
        before = select(jobs.c.id).join(this, tuple_(*queue_order(jobs)) < tuple_(*queue_order(this)))
        before = before.where(this.c.id == job_id, is_in(jobs, JobStatus.PENDING)).limit(most)
        rows = await self._database.read(select(func.count()).select_from(before.subquery()))
        return int(rows[0][0])

    async def pace(self) -> Pace:
        milliseconds = jobs.c.result["processing_time_ms"].as_float().label("milliseconds")
        last = select(milliseconds).where(jobs.c.status == JobStatus.COMPLETED.value)
        last = last.order_by(jobs.c.updated_at.desc()).limit(_COMPLETED_LAST)
        mean = select(func.avg(last.subquery().c.milliseconds)).scalar_subquery()
        running = select(func.count()).select_from(jobs).where(is_in(jobs, JobStatus.PROCESSING)).scalar_subquery()
        (row,) = await self._database.read(select(mean.label("mean"), running.label("running")))
        return Pace(None if row.mean is None else row.mean / 1000, row.running)


def _newest(wanted: list[ColumnElement[bool]], most: int) -> Select[tuple[object, ...]]:
    return select(jobs).where(*wanted).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(most)


def _is_after(place: Place) -> ColumnElement[bool]:
    """Compared as a row, which an index finds at once."""
    there = tuple_(literal(place.created_at, UtcDateTime), literal(place.id, Id))
    return tuple_(jobs.c.created_at, jobs.c.id) < there
