"""The log of who did what to whose data; and what is left of names in it when what they named is deleted: who had it,
and that it was, but not what. Raises Overloaded and EngineUnavailable when the database cannot answer.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Row, Select, Text, cast, literal, or_, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.mapping import columns
from src.adapters.database.statements import change
from src.adapters.database.tables import UtcDateTime, audit_log
from src.domain.accounts import Deletion, DeletionKind, Pseudonyms, Recorded
from src.domain.identity import acting_service, user_subject
from src.domain.jobs import AuditEvent, Place, now


class SqlAuditLog:
    """Implements AuditLog and AuditTrail."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, event: AuditEvent) -> None:
        await change(
            self._database, audit_log.insert().values(columns(audit_log, event, details=event.details or None))
        )

    async def about(self, user_id: str, most: int, after: Place | None = None) -> list[Recorded]:
        """Each of the two is read through its own index, as far as the page goes."""
        did = audit_log.c.user_id == user_id
        parts = [_newest([did], most, after)]
        parts.append(_newest([audit_log.c.subject == user_subject(user_id), ~did], most, after))
        found = union_all(*(select(part.subquery()) for part in parts)).subquery()
        query = select(found).order_by(found.c.at.desc(), found.c.id.desc()).limit(most)
        return [
            Recorded(
                Place(row.at, str(row.id)),
                AuditEvent(row.user_id, row.action, row.subject, row.outcome, row.details or {}, row.at),
            )
            for row in await self._database.read(query)
        ]

    async def forget_older_than(self, seconds: float) -> int:
        old = audit_log.delete().where(audit_log.c.at <= now() - timedelta(seconds=seconds))
        return await change(self._database, old, repeatable=True)


def _newest(wanted: list[ColumnElement[bool]], most: int, after: Place | None) -> Select[tuple[object, ...]]:
    if after is not None:
        there = tuple_(literal(after.created_at, UtcDateTime), literal(int(after.id), BigInteger))
        wanted = [*wanted, tuple_(audit_log.c.at, audit_log.c.id) < there]
    return select(audit_log).where(*wanted).order_by(audit_log.c.at.desc(), audit_log.c.id.desc()).limit(most)


_OF_JOBS = ("job", "translate")
"""What the subjects of events on jobs begin with."""
_OF_THINGS = ("profile", *_OF_JOBS)
_AT_ONCE = 500  # subjects in one statement


async def forget_profiles(connection: AsyncConnection, pseudonyms: Pseudonyms, ids: Sequence[str]) -> None:
    """Leave pseudonyms in the events on these."""
    await _forget(connection, pseudonyms, [f"profile:{each}" for each in ids])


async def forget_jobs(connection: AsyncConnection, pseudonyms: Pseudonyms, ids: Sequence[str]) -> None:
    """Leave pseudonyms in the events on these."""
    await _forget(connection, pseudonyms, [f"{kind}:{each}" for each in ids for kind in _OF_JOBS])


async def forget_user(connection: AsyncConnection, pseudonyms: Pseudonyms, user: str) -> None:
    """Leave pseudonyms in all events that name this user, whoever did it."""
    named = cast(audit_log.c.details, Text).contains(json.dumps(user), autoescape=True)
    which = or_(audit_log.c.user_id == user, audit_log.c.subject == f"user:{user}", named)
    await _rename(connection, pseudonyms, which, user)


async def _forget(connection: AsyncConnection, pseudonyms: Pseudonyms, subjects: Sequence[str]) -> None:
    for start in range(0, len(subjects), _AT_ONCE):
        await _rename(connection, pseudonyms, audit_log.c.subject.in_(subjects[start : start + _AT_ONCE]))


async def _rename(
    connection: AsyncConnection, pseudonyms: Pseudonyms, which: ColumnElement[bool], user: str | None = None
) -> None:
    """`user`: one who was deleted, and whose name goes, too."""
    for row in (await connection.execute(select(audit_log).where(which))).all():
        change = audit_log.update().where(audit_log.c.id == row.id)
        await connection.execute(change.values(_renamed(row, pseudonyms, user)))


async def note(connection: AsyncConnection, pseudonyms: Pseudonyms, deletion: Deletion, by: str) -> None:
    """That it was deleted, and by whom, in the same transaction."""
    user_gone = deletion.kind is DeletionKind.USER and by == deletion.owner
    event = {
        "at": deletion.requested_at,
        "user_id": pseudonyms.of(by) if user_gone else by,
        "action": f"{deletion.kind.value}.delete",
        "subject": f"{deletion.kind.value}:{pseudonyms.of(deletion.subject)}",
        "outcome": "completed",
        "details": {"by": service} if (service := acting_service.get()) is not None else None,
    }
    await connection.execute(audit_log.insert().values(event))


def _renamed(row: Row[Any], pseudonyms: Pseudonyms, user: str | None) -> dict[str, Any]:
    kind, _, name = row.subject.partition(":")
    renamed = kind in _OF_THINGS or name == user
    subject = f"{kind}:{pseudonyms.of(name)}" if renamed and not name.startswith("deleted-") else row.subject
    details = {
        key: pseudonyms.of(value) if user is not None and value == user else value
        for key, value in (row.details or {}).items()
    }
    return {
        "user_id": pseudonyms.of(row.user_id) if row.user_id == user else row.user_id,
        "subject": subject,
        "details": details or None,
    }
