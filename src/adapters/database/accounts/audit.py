"""The log of who did what to whose data. Raises Overloaded and EngineUnavailable when the database cannot answer."""

from datetime import timedelta

from sqlalchemy import BigInteger, ColumnElement, Select, literal, select, tuple_, union_all

from src.adapters.database.engine import Database
from src.adapters.database.mapping import columns
from src.adapters.database.statements import change
from src.adapters.database.tables import UtcDateTime, audit_log
from src.domain.accounts import Recorded
from src.domain.identity import user_subject
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
        """The newest `most` events that the user did, or that were done to the user, newest first; those after a
        place of this log. Each of the two is read through its own index, as far as the page goes.
        """
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
