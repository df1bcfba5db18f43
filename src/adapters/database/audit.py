"""The log of who did what to whose data. Raises Overloaded and EngineUnavailable when the database cannot answer."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.tables import audit_log
from src.domain.jobs import AuditEvent, now


class SqlAuditLog:
    """Implements AuditLog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, event: AuditEvent) -> None:
        values = {
            "at": event.at,
            "user_id": event.user_id,
            "action": event.action,
            "subject": event.subject,
            "outcome": event.outcome,
            "details": event.details or None,
        }

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(audit_log.insert(), values)

        await self._database.write(work)

    async def of_user(self, user_id: str, limit: int = 100) -> list[AuditEvent]:
        """The newest `limit` events, newest first."""
        query = select(audit_log).where(audit_log.c.user_id == user_id)
        newest_first = query.order_by(audit_log.c.at.desc(), audit_log.c.id.desc()).limit(limit)
        return [
            AuditEvent(row.user_id, row.action, row.subject, row.outcome, row.details or {}, row.at)
            for row in await self._database.read(newest_first)
        ]

    async def forget_older_than(self, seconds: float) -> int:
        """Delete what is older, and say how many."""
        old = audit_log.delete().where(audit_log.c.at <= now() - timedelta(seconds=seconds))

        async def work(connection: AsyncConnection) -> int:
            return (await connection.execute(old)).rowcount

        return await self._database.write(work, repeatable=True)
