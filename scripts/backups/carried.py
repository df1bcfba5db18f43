"""What a restore must not undo: what was deleted and revoked after the backup, and the log of who did what. It is read
from the database that is about to be replaced, and written to the restored one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, case, select
from sqlalchemy.ext.asyncio import AsyncConnection

from scripts.backups.database import count_rows
from src.adapters.database.accounts.deletion_audit import forget_jobs, forget_profiles, forget_user
from src.adapters.database.accounts.deletion_rows import KEPT_OF_USERS, tables_of_users
from src.adapters.database.tables import audit_log, revocations, translation_jobs, users, voice_profiles
from src.domain.accounts import Pseudonyms
from src.domain.jobs import JobStatus

_CLOCKS_APART = timedelta(minutes=5)  # of the machine that made the backup, and those that wrote the log
_EVENT = [column for column in audit_log.c if column.name != "id"]  # which the database counts
_FENCES_SKIPPED = 1000  # more than a job is leased in its life

Rows = list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Carried:
    """`events` of the audit log from about the backup on; all `revoked`."""

    events: Rows
    revoked: Rows


@dataclass(frozen=True, slots=True)
class Replayed:
    """The profiles and how many jobs were deleted again, and how many revocations are in force again."""

    profiles: list[str] = field(default_factory=list)
    jobs: int = 0
    revocations: int = 0


async def read(connection: AsyncConnection, since: datetime) -> Carried:
    """Raises DBAPIError where the database is not as this service makes it."""
    tables = await count_rows(connection)
    newer = select(*_EVENT).where(audit_log.c.at >= since - _CLOCKS_APART).order_by(audit_log.c.id)
    events = await _rows(connection, newer) if audit_log.name in tables else []
    return Carried(events, await _rows(connection, select(revocations)) if revocations.name in tables else [])


async def apply(connection: AsyncConnection, carried: Carried, pseudonyms: Pseudonyms) -> Replayed:
    """In the transaction of this connection. `pseudonyms`: as the service that wrote the log makes them."""
    gone_users = await _restored(connection, users, "user", carried, pseudonyms)
    gone_profiles = await _restored(connection, voice_profiles, "profile", carried, pseudonyms)
    gone_jobs = await _restored(connection, translation_jobs, "job", carried, pseudonyms)
    profiles = await _delete(connection, voice_profiles, "user_id", gone_users)  # with their consents
    profiles += await _delete(connection, voice_profiles, "id", gone_profiles)
    jobs = await _delete(connection, translation_jobs, "user_id", gone_users)  # with their callbacks
    jobs += await _delete(connection, translation_jobs, "voice_profile_id", gone_profiles)
    jobs += await _delete(connection, translation_jobs, "id", gone_jobs)
    await forget_profiles(connection, pseudonyms, profiles)
    await forget_jobs(connection, pseudonyms, jobs)
    for user in gone_users:
        for table in (table for table in tables_of_users() if table.name not in KEPT_OF_USERS):
            await connection.execute(table.delete().where(table.c.user_id == user))
        await connection.execute(users.delete().where(users.c.id == user))
        await forget_user(connection, pseudonyms, user)
    await _add_events(connection, carried.events)
    return Replayed(profiles, len(jobs), await _revoke(connection, carried.revoked))


async def let_running_jobs_wait(connection: AsyncConnection) -> int:
    """Nobody works at them now: that attempt does not count. A worker that still runs has a fence of before, or of
    after the backup: none of them is given again. Returns how many.
    """
    jobs = translation_jobs.c
    again: dict[str, Any] = {"status": JobStatus.PENDING.value, "stage": None, "lease_until": None}
    again |= {"attempts": case((jobs.attempts > 0, jobs.attempts - 1), else_=0)}
    ran = translation_jobs.update().where(jobs.status == JobStatus.PROCESSING.value).values(again)
    count = (await connection.execute(ran)).rowcount
    waits = translation_jobs.update().where(jobs.status == JobStatus.PENDING.value)
    await connection.execute(waits.values(fence=jobs.fence + _FENCES_SKIPPED))
    return count


async def _rows(connection: AsyncConnection, query: Any) -> Rows:
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def _restored(
    connection: AsyncConnection, table: Table, kind: str, carried: Carried, pseudonyms: Pseudonyms
) -> list[str]:
    """The ids of rows that were deleted and are back. The log names them by pseudonyms, of earlier releases by ids."""
    events = [event for event in carried.events if event["action"] == f"{kind}.delete"]
    deleted = {event["subject"].removeprefix(f"{kind}:") for event in events}
    there = (await connection.execute(select(table.c.id))).scalars() if deleted else ()
    return [each for each in there if each in deleted or pseudonyms.of(each) in deleted]


async def _delete(connection: AsyncConnection, table: Table, column: str, values: Iterable[str]) -> list[str]:
    """The ids of the rows that were there."""
    gone: list[str] = []
    for value in values:
        change = table.delete().where(table.c[column] == value).returning(table.c.id)
        gone += (await connection.execute(change)).scalars()
    return gone


async def _add_events(connection: AsyncConnection, events: Rows) -> None:
    """Those that the backup has not."""
    if events:
        newer = select(*_EVENT).where(audit_log.c.at >= min(event["at"] for event in events))
        known = {_key(row) for row in await _rows(connection, newer)}
        for event in events:
            if _key(event) not in known:
                await connection.execute(audit_log.insert().values(event))


def _key(event: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple(event[name] for name in ("at", "user_id", "action", "subject", "outcome"))


async def _revoke(connection: AsyncConnection, revoked: Rows) -> int:
    """The later one of two of a subject counts. Returns how many were changed."""
    changed = 0
    for row in revoked:
        this = revocations.c.subject == row["subject"]
        found = await connection.scalar(select(revocations.c.issued_until).where(this))
        if found is None or found < row["issued_until"]:
            await connection.execute(revocations.delete().where(this))
            await connection.execute(revocations.insert().values(row))
            changed += 1
    return changed
