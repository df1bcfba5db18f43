"""What several repositories do in the same way."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Executable, Row, UpdateBase, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.deletion_tables import deletions
from src.adapters.database.engine import Database
from src.adapters.database.tables import users
from src.domain.accounts import DeletionKind
from src.domain.errors import NotFound
from src.domain.jobs import now


async def know_user(
    database: Database, connection: AsyncConnection, user_id: str, since: datetime | None = None
) -> None:
    """Users come from tokens: a row is made at their first use, for the others to refer to.

    Raises NotFound for work that was begun at `since` when the user was deleted after that.
    """
    if since is not None:
        await require_not_deleted(database, connection, user_id, since)
    row = database.insert(users).values(id=user_id, created_at=now())
    await connection.execute(row.on_conflict_do_nothing())


async def one_at_a_time(connection: AsyncConnection, user_id: str) -> None:
    """Until this transaction ends no other passes here for the same known user. SQLite has one writer anyway."""
    row = select(users.c.id).where(users.c.id == user_id)
    await connection.execute(row.with_for_update(key_share=True))  # who only refers to the user goes on


async def require_not_deleted(database: Database, connection: AsyncConnection, user_id: str, since: datetime) -> None:
    """Raises NotFound when the user was deleted after `since`."""
    # by name while it is going on, as processes may have hashed it with different keys
    owner = (deletions.c.owner_hash == database.pseudonyms.hash(user_id)) | (deletions.c.owner == user_id)
    later = owner & (deletions.c.kind == DeletionKind.USER.value) & (deletions.c.requested_at >= since)
    if (await connection.execute(select(deletions.c.id).where(later).limit(1))).first() is not None:
        raise NotFound("The user was deleted while this was done.")


async def change(database: Database, statement: UpdateBase, *, repeatable: bool = False) -> int:
    """Run one statement in a transaction of its own: how many rows it met."""

    async def work(connection: AsyncConnection) -> int:
        return (await connection.execute(statement)).rowcount

    return await database.write(work, repeatable=repeatable)


async def returned(database: Database, statement: Executable, *, repeatable: bool = False) -> Sequence[Row[Any]]:
    """Run one statement that has RETURNING in a transaction of its own: the rows that it met."""

    async def work(connection: AsyncConnection) -> Sequence[Row[Any]]:
        return (await connection.execute(statement)).all()

    return await database.write(work, repeatable=repeatable)


def only(rows: Sequence[Row[Any]]) -> Row[Any] | None:
    """The row of a query by key."""
    return rows[0] if rows else None
