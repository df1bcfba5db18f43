"""What several repositories do in the same way."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, UpdateBase, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.tables import users
from src.domain.jobs import now


async def know_user(database: Database, connection: AsyncConnection, user_id: str) -> None:
    """Users come from tokens: a row is made at their first use, for the others to refer to."""
    row = database.insert(users).values(id=user_id, created_at=now())
    await connection.execute(row.on_conflict_do_nothing())


async def one_at_a_time(connection: AsyncConnection, user_id: str) -> None:
    """Until this transaction ends no other passes here for the same known user. SQLite has one writer anyway."""
    row = select(users.c.id).where(users.c.id == user_id)
    await connection.execute(row.with_for_update(key_share=True))  # who only refers to the user goes on


async def change(database: Database, statement: UpdateBase, *, repeatable: bool = False) -> int:
    """Run one statement in a transaction of its own: how many rows it met."""

    async def work(connection: AsyncConnection) -> int:
        return (await connection.execute(statement)).rowcount

    return await database.write(work, repeatable=repeatable)


def only(rows: Sequence[Row[Any]]) -> Row[Any] | None:
    """The row of a query by key."""
    return rows[0] if rows else None
