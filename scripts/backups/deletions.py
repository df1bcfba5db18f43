"""What a restore must not undo: what was deleted and revoked after the backup, and the log of who did what. It is read
from the database that is about to be replaced, and done again in the restored one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.accounts.deletions import SqlDeletions
from src.adapters.database.accounts.revocations import SqlRevocations
from src.adapters.database.engine import Database
from src.adapters.database.tables import audit_log, revocations, translation_jobs, users, voice_profiles
from src.domain.accounts import DeletionKind
from src.domain.identity import Revocation
from src.domain.jobs import JobStatus

_CLOCKS_APART = timedelta(minutes=5)  # of the machine that made the backup, and those that wrote the log
_EVENT = [column for column in audit_log.c if column.name != "id"]  # which the database counts
_EVENT_NAMES = [column.name for column in _EVENT]
_FENCES_SKIPPED = 1000  # more than a job is leased in its life
_OWNED = {  # a user's profiles and jobs go with the user, a profile's jobs with the profile
    DeletionKind.USER: select(users.c.id, users.c.id.label("user_id")),
    DeletionKind.PROFILE: select(voice_profiles.c.id, voice_profiles.c.user_id),
    DeletionKind.JOB: select(translation_jobs.c.id, translation_jobs.c.user_id),
}


Rows = Sequence[Row[Any]]
Carried = tuple[Rows, Rows]
"""Events of the audit log from about the backup on, and all revocations."""


async def read(database: Database, tables: list[str], since: datetime) -> Carried:
    """Raises DBAPIError where the database is not as this service makes it."""
    newer = select(*_EVENT).where(audit_log.c.at >= since - _CLOCKS_APART).order_by(audit_log.c.id)
    queries = ((audit_log, newer), (revocations, select(revocations)))
    events, revoked = [await database.read(query) if table.name in tables else [] for table, query in queries]
    return events, revoked


async def carry_over(database: Database, carried: Carried) -> list[str]:
    """Returns what was deleted again, such as `profile:ID`. The service erases the files once it runs."""
    (events, revocations_then), again = carried, []
    for kind, owned in _OWNED.items():
        by = {event.subject: event.user_id for event in events if event.action == f"{kind}.delete"}
        for row in await database.read(owned) if by else ():
            # the log names the deleted by pseudonyms, that of earlier releases by ids
            for subject in by.keys() & {f"{kind}:{row.id}", f"{kind}:{database.pseudonyms.of(row.id)}"}:
                await SqlDeletions(database).request(kind, row.id, row.user_id, by[subject])
                again.append(f"{kind}:{row.id}")
    for revoked in revocations_then:
        await SqlRevocations(database).add(Revocation(revoked.subject, revoked.issued_until, revoked.expires_at))
    known = {_key(event) for event in await database.read(select(*_EVENT))}
    if missing := [dict(zip(_EVENT_NAMES, event, strict=True)) for event in events if _key(event) not in known]:
        await database.write(lambda connection: connection.execute(audit_log.insert(), missing))
    return again


async def let_jobs_wait(connection: AsyncConnection) -> None:
    """Nobody works at them now: they wait, with all their attempts. A worker that still runs has a fence of before, or
    of after the backup: none of them is given again.
    """
    jobs = translation_jobs.c
    open_ones = jobs.status.in_([JobStatus.PROCESSING.value, JobStatus.PENDING.value])
    again = {"status": JobStatus.PENDING.value, "stage": None, "lease_until": None, "attempts": 0}
    await connection.execute(
        translation_jobs.update().where(open_ones).values(again | {"fence": jobs.fence + _FENCES_SKIPPED})
    )


def _key(event: Row[Any]) -> tuple[object, ...]:
    return (event.at, event.user_id, event.action, event.subject, event.outcome)
