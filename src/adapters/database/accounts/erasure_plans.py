"""Plans to erase files, made before they are written; a profile's are called off in the transaction of its row."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.deletion_tables import erasures
from src.adapters.database.engine import Database
from src.adapters.database.statements import change, require_not_deleted
from src.adapters.database.tables import voice_profiles
from src.domain.errors import NotFound
from src.domain.jobs import VoiceProfile


class SqlPlans:
    """Implements PlannedErasures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def plan(
        self, paths: Collection[str], owner: str, profile_id: str | None, seconds: float, *, since: datetime
    ) -> None:
        shared = {"owner": owner, "profile_id": profile_id, "due_at": self._database.later(seconds), "passes": 0}

        async def work(connection: AsyncConnection) -> None:
            await require_not_deleted(self._database, connection, owner, since)
            if profile_id is not None:
                there = select(voice_profiles.c.id).where(voice_profiles.c.id == profile_id).with_for_update(read=True)
                if (await connection.execute(there)).first() is None:
                    raise NotFound("The voice profile was deleted meanwhile.")
            for path in paths:
                row = self._database.insert(erasures).values(path=path, **shared)
                await connection.execute(row.on_conflict_do_nothing())

        await self._database.write(work, repeatable=True)

    async def erased(self, paths: Collection[str]) -> None:
        these = erasures.c.path.in_(paths) & erasures.c.deletion_id.is_(None)
        await change(self._database, erasures.delete().where(these), repeatable=True)


async def call_off(connection: AsyncConnection, paths: Sequence[str]) -> None:
    """The files stay. Raises NotFound when they are being erased: what they are of was deleted, or it took too long."""
    these = erasures.c.path.in_(paths) & erasures.c.deletion_id.is_(None)
    if (await connection.execute(erasures.delete().where(these))).rowcount != len(paths):
        raise NotFound("The voice profile was deleted while it was made.")


async def plan_now(
    database: Database, connection: AsyncConnection, paths: Sequence[str], profile: VoiceProfile
) -> None:
    """They are to be erased from now on."""
    shared = {"owner": profile.user_id, "profile_id": profile.id, "due_at": database.later(0), "passes": 0}
    for path in paths:
        row = database.insert(erasures).values(path=path, **shared)
        await connection.execute(row.on_conflict_do_nothing())
