"""Voice profiles and usage in the database: every query, each method one short transaction.

The `work` that a method gives to `Database.write` may run again when the connection was lost under it.
All raise Overloaded and EngineUnavailable when the database cannot answer.
"""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.consents import keep_consent, profile_of, profiles_with_consents
from src.adapters.database.engine import Database
from src.adapters.database.mapping import profile_to_values, usage_to_values
from src.adapters.database.statements import change, know_user, only
from src.adapters.database.tables import usage
from src.adapters.database.tables import voice_profiles as profiles
from src.domain.errors import NotFound
from src.domain.jobs import DailyUsage, UsageEvent, VoiceProfile
from src.domain.rates import DECODED


class SqlProfileRepository:
    """Implements ProfileRepository."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, profile: VoiceProfile) -> None:
        """Insert, or replace the one with the same id, and add its consent to those before it.

        Raises NotFound when that one is another user's.
        """
        values = profile_to_values(profile)
        row = self._database.insert(profiles).values(values)
        own = profiles.c.user_id == profile.user_id
        upsert = row.on_conflict_do_update(index_elements=["id"], set_=values, where=own)

        async def work(connection: AsyncConnection) -> None:
            await know_user(self._database, connection, profile.user_id)
            if (await connection.execute(upsert)).rowcount == 0:
                raise NotFound("There is no such voice profile.")
            await keep_consent(self._database, connection, profile)

        await self._database.write(work)  # once: else a profile that was deleted since might come back

    async def get(self, profile_id: str, user_id: str) -> VoiceProfile:
        """Raises NotFound."""
        query = profiles_with_consents().where(profiles.c.id == profile_id, profiles.c.user_id == user_id)
        row = only(await self._database.read(query))
        if row is None:
            raise NotFound("There is no such voice profile.")
        return profile_of(row)

    async def of_user(self, user_id: str) -> list[VoiceProfile]:
        """Newest first."""
        query = profiles_with_consents().where(profiles.c.user_id == user_id)
        query = query.order_by(profiles.c.created_at.desc())
        rows = await self._database.read(query)
        return [profile_of(row) for row in rows]

    async def delete(self, profile_id: str) -> None:
        await change(self._database, profiles.delete().where(profiles.c.id == profile_id), repeatable=True)


class SqlUsageRepository:
    """Implements UsageRepository."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, event: UsageEvent) -> None:
        async def work(connection: AsyncConnection) -> None:
            await know_user(self._database, connection, event.user_id)
            await connection.execute(usage.insert(), usage_to_values(event))

        await self._database.write(work)

    async def by_day(self, user_id: str, days: int) -> list[DailyUsage]:
        """The last `days` days that have any use, newest first."""
        sums = [func.sum(usage.c[name]) for name in ("seconds_in", "seconds_out", "characters")]
        requests = (usage.c.user_id == user_id) & (usage.c.operation != DECODED)
        query = select(usage.c.day, func.count(), *sums).where(requests)
        query = query.group_by(usage.c.day).order_by(usage.c.day.desc()).limit(days)
        rows = await self._database.read(query)
        return [DailyUsage(day.isoformat(), *sums_of_day) for day, *sums_of_day in map(tuple, rows)]
