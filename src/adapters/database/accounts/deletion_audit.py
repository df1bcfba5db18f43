"""What is left of names in the audit log when what they named is deleted: who had it, and that it was, but not what."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Text, cast, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.tables import audit_log
from src.domain.accounts import Deletion, DeletionKind, Pseudonyms
from src.domain.identity import acting_service

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
