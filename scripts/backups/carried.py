"""What a restore must not undo: what was deleted and revoked after its backup, and the log of who did what. It is read
from the database that is about to be overwritten, and written to the restored one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from scripts.backups.contents import tables_of
from src.adapters.database.accounts.deletion_audit import forget_jobs, forget_profiles, forget_user
from src.adapters.database.accounts.deletion_rows import KEPT_OF_USERS, tables_of_users
from src.adapters.database.consent_tables import consents
from src.adapters.database.tables import audit_log, revocations, translation_jobs, users, voice_profiles
from src.domain.accounts import Pseudonyms

_CLOCKS_APART = timedelta(minutes=5)  # of the machine that made the backup, and those that wrote the log
_AT_ONCE = 500  # ids in one statement

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Carried:
    """`events` of the audit log from about the backup on; all `revocations`."""

    events: Rows
    revocations: Rows

    def deleted(self, what: str) -> list[str]:
        """The profiles, jobs or users that were deleted: pseudonyms, and of earlier releases ids."""
        subjects = [str(event["subject"]) for event in self.events if event["action"] == f"{what}.delete"]
        return sorted({subject.removeprefix(f"{what}:") for subject in subjects})


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many rows were deleted again, and how many revocations are in force again; `profiles`: ids."""

    profiles: tuple[str, ...] = ()
    jobs: int = 0
    revocations: int = 0


async def read(connection: AsyncConnection, since: datetime) -> Carried:
    """Raises DBAPIError where the database is not as this service makes it."""
    tables = await tables_of(connection)
    newer = select(*_without_id(audit_log)).where(audit_log.c.at >= since - _CLOCKS_APART).order_by(audit_log.c.id)
    events = await connection.execute(newer) if audit_log.name in tables else None
    revoked = await connection.execute(select(revocations)) if revocations.name in tables else None
    return Carried(
        [dict(row) for row in events.mappings()] if events else [],
        [dict(row) for row in revoked.mappings()] if revoked else [],
    )


async def apply(connection: AsyncConnection, carried: Carried, pseudonyms: Pseudonyms) -> Replayed:
    """In the transaction of this connection, to a database of this release's schema. `pseudonyms`: as the service that
    wrote the log makes them.
    """
    gone_users = await _restored(connection, users.c.id, carried.deleted("user"), pseudonyms)
    gone_profiles = await _restored(connection, voice_profiles.c.id, carried.deleted("profile"), pseudonyms)
    gone_jobs = await _restored(connection, translation_jobs.c.id, carried.deleted("job"), pseudonyms)
    profiles = await _delete(connection, voice_profiles, "user_id", gone_users)
    jobs = await _delete(connection, translation_jobs, "user_id", gone_users)
    await _delete(connection, consents, "profile_id", gone_profiles)
    profiles += await _delete(connection, voice_profiles, "id", gone_profiles)
    jobs += await _delete(connection, translation_jobs, "voice_profile_id", gone_profiles)
    jobs += await _delete(connection, translation_jobs, "id", gone_jobs)
    await forget_profiles(connection, pseudonyms, profiles)
    await forget_jobs(connection, pseudonyms, jobs)
    for user in gone_users:
        await _delete_user(connection, user, pseudonyms)
    await _add_events(connection, carried.events)
    return Replayed(tuple(profiles), len(jobs), await _revoke(connection, carried.revocations))


async def _restored(
    connection: AsyncConnection, column: ColumnElement[str], deleted: list[str], pseudonyms: Pseudonyms
) -> list[str]:
    """Of the ids that the backup brought back, those that were deleted."""
    if not deleted:
        return []
    wanted = frozenset(deleted)
    there = (await connection.execute(select(column))).scalars()
    return [each for each in there if each in wanted or pseudonyms.of(each) in wanted]


async def _delete_user(connection: AsyncConnection, user: str, pseudonyms: Pseudonyms) -> None:
    for table in tables_of_users():
        if table.name not in KEPT_OF_USERS:
            await connection.execute(table.delete().where(table.c.user_id == user))
    await connection.execute(users.delete().where(users.c.id == user))
    await forget_user(connection, pseudonyms, user)


async def _delete(connection: AsyncConnection, table: Table, column: str, ids: list[str]) -> list[str]:
    """The ids of the rows that were there."""
    gone: list[str] = []
    for start in range(0, len(ids), _AT_ONCE):
        change = table.delete().where(table.c[column].in_(ids[start : start + _AT_ONCE])).returning(table.c.id)
        gone += (await connection.execute(change)).scalars()
    return gone


async def _add_events(connection: AsyncConnection, events: Rows) -> None:
    """Those that the backup has not."""
    if not events:
        return
    since = min(event["at"] for event in events)
    there = await connection.execute(select(*_without_id(audit_log)).where(audit_log.c.at >= since))
    known = {_key(row) for row in there.mappings()}
    if fresh := [event for event in events if _key(event) not in known]:
        await connection.execute(audit_log.insert(), fresh)


async def _revoke(connection: AsyncConnection, revoked: Rows) -> int:
    """The later one of two of a subject counts. Returns how many were changed."""
    changed = 0
    for row in revoked:
        is_it = revocations.c.subject == row["subject"]
        found = (await connection.execute(select(revocations.c.issued_until).where(is_it))).scalar_one_or_none()
        if found is None:
            await connection.execute(revocations.insert().values(row))
        elif found < row["issued_until"]:
            await connection.execute(revocations.update().where(is_it).values(row))
        changed += found is None or found < row["issued_until"]
    return changed


def _key(event: dict[str, Any] | RowMapping) -> tuple[object, ...]:
    return tuple(event[name] for name in ("at", "user_id", "action", "subject", "outcome"))


def _without_id(table: Table) -> list[Any]:
    """The database counts."""
    return [column for column in table.c if column.name != "id"]
