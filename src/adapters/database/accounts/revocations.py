"""Revoked tokens in the database: the truth. Raises Overloaded and EngineUnavailable when it cannot answer."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.tables import revocations
from src.domain.identity import Revocation
from src.domain.jobs import now


class SqlRevocations:
    """Implements Revocations. Each addition deletes those that have expired."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, revocation: Revocation) -> None:
        values = {"issued_until": revocation.issued_until, "expires_at": revocation.expires_at}
        insert = self._database.insert(revocations).values(subject=revocation.subject, **values)
        earlier = revocations.c.issued_until < revocation.issued_until
        upsert = insert.on_conflict_do_update(index_elements=["subject"], set_=values, where=earlier)
        expired = revocations.delete().where(revocations.c.expires_at <= now())

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(expired)
            await connection.execute(upsert)

        await self._database.write(work, repeatable=True)

    async def of(self, subjects: Sequence[str]) -> list[Revocation]:
        rows = await self._database.read(select(revocations).where(revocations.c.subject.in_(subjects)))
        return [Revocation(row.subject, row.issued_until, row.expires_at) for row in rows]
