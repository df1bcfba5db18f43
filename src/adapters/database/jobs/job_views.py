"""What callers see of their jobs, read from the database; nothing here writes."""

from sqlalchemy import ColumnElement, Select, func, literal, select, tuple_, union_all

from src.adapters.database.engine import Database
from src.adapters.database.jobs.leased_rows import is_in, queue_order
from src.adapters.database.mapping import job_from_row
from src.adapters.database.tables import Id, UtcDateTime
from src.adapters.database.tables import translation_jobs as jobs
from src.domain.jobs import Job, JobStatus, Pace, Place

_COMPLETED_LAST = 20
"""Jobs whose mean time is the pace."""


class SqlJobViews:
    """Implements JobViews."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_user(
        self, user_id: str, most: int, after: Place | None = None, statuses: frozenset[JobStatus] = frozenset()
    ) -> list[Job]:
        """The newest `most` of the user's jobs, newest first; those after a place, those in some states (none: all).

        Each state is read through its own part of an index, as far as this page goes, so that a page costs the same
        however many jobs in other states the user has.
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
