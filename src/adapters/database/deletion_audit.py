"""What is left of names in the audit log when what they named is deleted: who had it, and that it was, but not what."""

import json
from typing import Any

from sqlalchemy import ColumnElement, Row, Text, cast, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.tables import audit_log
from src.domain.deletions import Deletion, DeletionKind, Pseudonyms
from src.domain.identity import acting_service

OF_JOBS = ("job", "translate")
"""What the subjects of events on jobs begin with."""
_OF_THINGS = ("profile", *OF_JOBS)


async def leave_pseudonyms(
    connection: AsyncConnection, pseudonyms: Pseudonyms, which: ColumnElement[bool] | None, deletion: Deletion
) -> None:
    """In events on the deleted thing; `which` None: in all that name the deleted user, whoever did it."""
    if which is None:
        named = cast(audit_log.c.details, Text).contains(json.dumps(deletion.owner), autoescape=True)
        subject = audit_log.c.subject == f"user:{deletion.owner}"
        which = or_(audit_log.c.user_id == deletion.owner, subject, named)
    gone = deletion.owner if deletion.kind is DeletionKind.USER else None
    for row in (await connection.execute(select(audit_log).where(which))).all():
        change = audit_log.update().where(audit_log.c.id == row.id)
        await connection.execute(change.values(_renamed(row, pseudonyms, gone)))


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
