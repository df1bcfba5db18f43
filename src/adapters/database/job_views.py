"""What callers see of their jobs, read from the database; nothing here writes."""

from sqlalchemy import ColumnElement, Select, literal, select, tuple_, union_all

from src.adapters.database.engine import Database
from src.adapters.database.mapping import job_from_row
from src.adapters.database.tables import Id, UtcDateTime
from src.adapters.database.tables import translation_jobs as jobs
from src.domain.job_views import Place
from src.domain.jobs import Job, JobStatus


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


def _newest(wanted: list[ColumnElement[bool]], most: int) -> Select[tuple[object, ...]]:
    return select(jobs).where(*wanted).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(most)


def _is_after(place: Place) -> ColumnElement[bool]:
    """Compared as a row, which an index finds at once."""
    there = tuple_(literal(place.created_at, UtcDateTime), literal(place.id, Id))
    return tuple_(jobs.c.created_at, jobs.c.id) < there
