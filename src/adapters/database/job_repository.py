"""Jobs in the database: the line in which they wait, the leases of those who do them, and what became of them.

The `work` that a method gives to `Database.write` may run again when the connection was lost under it.
All raise Overloaded and EngineUnavailable when the database cannot answer.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, and_, func, literal_column, null, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.callbacks import enqueue_callback
from src.adapters.database.engine import Database
from src.adapters.database.mapping import job_from_row, job_outcome, job_to_values, usage_to_values
from src.adapters.database.statements import change, know_user, only
from src.adapters.database.tables import translation_jobs as jobs
from src.adapters.database.tables import usage as usage_table
from src.domain.errors import NotFound, Overloaded
from src.domain.jobs import Job, JobStatus, Stage, UsageEvent, now

ENDED_JOBS_AT_ONCE = 500
"""How many old jobs one call of `ended_before` gives: the oldest. Who deletes them gets the next ones."""

_RETRY_AFTER_SECONDS = 5.0  # about the time of one short job


def _is(status: JobStatus) -> ColumnElement[bool]:
    """Written out, as in the partial indexes: a parameter would hide from Postgres that it may use them."""
    return jobs.c.status == literal_column(f"'{status.value}'")


_PENDING, _PROCESSING = _is(JobStatus.PENDING), _is(JobStatus.PROCESSING)
_IN_LINE = (jobs.c.priority, jobs.c.turn, jobs.c.created_at, jobs.c.id)


class SqlJobRepository:
    """Implements JobRepository and LeaseRepository."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, job: Job, most_waiting: int) -> None:
        """Put it in line: users of the same priority take turns, however many jobs each has waiting.

        Raises Overloaded when `most_waiting` jobs wait already; that many may be exceeded by those added just now.
        """

        async def work(connection: AsyncConnection) -> None:
            last = select(jobs.c.id).where(_PENDING).offset(most_waiting - 1).limit(1)
            if (await connection.execute(last)).first() is not None:
                detail = f"{most_waiting} jobs are waiting already. Try again."
                raise Overloaded(detail, retry_after_seconds=_RETRY_AFTER_SECONDS)
            await know_user(self._database, connection, job.user_id)
            row = self._database.insert(jobs).values({**job_to_values(job), "turn": _turn(job)})
            await connection.execute(row.on_conflict_do_nothing(index_elements=["id"]))  # added, and not told so

        await self._database.write(work, repeatable=True)

    async def get(self, job_id: str, user_id: str | None = None) -> Job:
        """Raises NotFound, also when `user_id` is given and the job is another's."""
        row = only(await self._database.read(select(jobs).where(jobs.c.id == job_id)))
        if row is None or user_id not in (None, row.user_id):
            raise NotFound("There is no such job.")
        return job_from_row(row)

    async def claim(self, lease_seconds: float, *, only_new: bool = False) -> Job | None:
        """Lease the next job in line, for one attempt; `only_new`: of those that were never begun.

        None when none waits that nobody else is just taking.
        """
        waiting = select(jobs.c.id).where(_PENDING, *([jobs.c.attempts == 0] if only_new else []))
        first = waiting.order_by(*_IN_LINE).limit(1).with_for_update(skip_locked=True)
        attempt = {"status": JobStatus.PROCESSING.value, "attempts": jobs.c.attempts + 1}
        leased = await self._lease(jobs.c.id == first.scalar_subquery(), attempt, lease_seconds)
        return leased[0] if leased else None

    async def renew(self, held: Mapping[str, int], lease_seconds: float) -> set[str]:
        """`held`: fences by job id. Extend these leases, also run-out ones that nobody took. The ids that are held."""
        ours = tuple_(jobs.c.id, jobs.c.fence).in_(list(held.items()))
        renewal = jobs.update().where(ours, jobs.c.status.in_(_OPEN))
        renewal = renewal.values(status=JobStatus.PROCESSING.value, lease_until=self._database.later(lease_seconds))

        async def work(connection: AsyncConnection) -> set[str]:
            return set((await connection.execute(renewal.returning(jobs.c.id))).scalars())

        return await self._database.write(work, repeatable=True)

    async def save_stage(self, job: Job, stage: Stage) -> None:
        """For those who look. Nothing happens when the job is another worker's by now."""
        values = {"stage": stage.value, "updated_at": now()}
        await change(self._database, jobs.update().where(_ours(job), _PROCESSING).values(values), repeatable=True)

    async def finish(self, job: Job, usage: UsageEvent) -> bool:
        """Write the final state, count the use, and keep the callback to be sent: all or nothing. Repeating it changes
        nothing.

        False, and nothing is written: the row is gone, has ended otherwise, or was leased to another worker since.
        """
        final = {**job_outcome(job), "stage": null(), "lease_until": null()}
        end = jobs.update().where(_ours(job), jobs.c.status.in_(_OPEN)).values(final)

        async def work(connection: AsyncConnection) -> bool:
            if (await connection.execute(end)).rowcount == 0:
                is_done = select(jobs.c.id).where(_ours(job), jobs.c.status == job.status.value)
                return (await connection.execute(is_done)).first() is not None
            await know_user(self._database, connection, usage.user_id)
            await connection.execute(usage_table.insert(), usage_to_values(usage))
            await enqueue_callback(self._database, connection, job)
            return True

        return await self._database.write(work, repeatable=True)

    async def give_back(self, job: Job) -> None:
        """Put a leased job back in its old place; the attempt does not count."""
        values = {**_WAITS, "attempts": jobs.c.attempts - 1}
        await change(self._database, jobs.update().where(_ours(job), _PROCESSING).values(values), repeatable=True)

    async def request_cancel(self, job_id: str) -> None:
        """Tell whoever has it, or will have it, that nobody wants it any more."""
        request = jobs.update().where(jobs.c.id == job_id, jobs.c.status.in_(_OPEN)).values(cancel_requested=True)
        await change(self._database, request, repeatable=True)

    async def requeue_expired(self, max_attempts: int) -> list[str]:
        """Put jobs whose lease has run out back in line. Their ids; those begun `max_attempts` times stay."""
        expired = jobs.update().where(self._expired(), jobs.c.attempts < max_attempts).values(_WAITS)

        async def work(connection: AsyncConnection) -> list[str]:
            return list((await connection.execute(expired.returning(jobs.c.id))).scalars())

        return await self._database.write(work, repeatable=True)

    async def claim_spent(self, max_attempts: int, lease_seconds: float) -> list[Job]:
        """Lease the jobs that stay, to end them."""
        return await self._lease(and_(self._expired(), jobs.c.attempts >= max_attempts), {}, lease_seconds)

    async def counts(self) -> tuple[int, int]:
        """How many wait, and how many are being done."""
        waiting, running = (select(func.count()).where(each).scalar_subquery() for each in (_PENDING, _PROCESSING))
        rows = await self._database.read(select(waiting.label("waiting"), running.label("running")))
        return rows[0].waiting, rows[0].running

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
        await change(self._database, jobs.delete().where(jobs.c.id == job_id), repeatable=True)

    def _expired(self) -> ColumnElement[bool]:
        return and_(_PROCESSING, jobs.c.lease_until < self._database.later(0))

    async def _lease(self, which: ColumnElement[bool], values: Mapping[str, Any], seconds: float) -> list[Job]:
        """Not repeatable: the lease of an answer that got lost runs out."""
        lease = {**values, "fence": jobs.c.fence + 1, "lease_until": self._database.later(seconds), "updated_at": now()}
        statement = jobs.update().where(which).values(lease).returning(jobs)

        async def work(connection: AsyncConnection) -> list[Job]:
            return [job_from_row(row) for row in await connection.execute(statement)]

        return await self._database.write(work)


_OPEN = [JobStatus.PENDING.value, JobStatus.PROCESSING.value]
_WAITS = {"status": JobStatus.PENDING.value, "stage": null(), "lease_until": null()}


def _ours(job: Job) -> ColumnElement[bool]:
    """Whoever took it since has counted its fence up."""
    return and_(jobs.c.id == job.id, jobs.c.fence == job.fence)


def _turn(job: Job) -> ScalarSelect[int]:
    """One more than the last of this user's jobs that wait, but not before the first of all that wait.

    So users are served in turn, and who comes after a pause does not overtake for the turns that were not used:
    start-time fair queueing (Goyal, Vin, Cheng 1996) with every job of the same length.
    """
    waiting = jobs.alias()
    same = and_(waiting.c.status == literal_column("'pending'"), waiting.c.priority == job.priority.value)
    own = select(func.max(waiting.c.turn) + 1).where(same, waiting.c.user_id == job.user_id)
    first = select(func.min(waiting.c.turn)).where(same)
    either = union_all(own, first).subquery()
    return select(func.coalesce(func.max(either.c[0]), 0)).scalar_subquery()
