"""What users used: every query, each method one short transaction.

The `work` that a method gives to `Database.write` may run again when the connection was lost under it.
All raise Overloaded and EngineUnavailable when the database cannot answer.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.mapping import usage_to_values
from src.adapters.database.statements import change, know_user, one_at_a_time
from src.adapters.database.tables import usage
from src.domain.accounts import DECODED
from src.domain.jobs import DailyUsage, UsageEvent, now


class SqlUsageRepository:
    """Implements UsageRepository."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, event: UsageEvent) -> None:
        async def work(connection: AsyncConnection) -> None:
            await know_user(self._database, connection, event.user_id, since=event.at)
            await connection.execute(usage.insert(), usage_to_values(event))

        await self._database.write(work)

    async def forget_older_than(self, seconds: float) -> int:
        old = usage.c.day < (now() - timedelta(seconds=seconds)).date()
        return await change(self._database, usage.delete().where(old), repeatable=True)

    async def by_day(self, user_id: str, days: int) -> list[DailyUsage]:
        sums = [func.sum(usage.c[name]) for name in ("seconds_in", "seconds_out", "characters")]
        requests = (usage.c.user_id == user_id) & (usage.c.operation != DECODED)
        query = select(usage.c.day, func.count(), *sums).where(requests)
        query = query.group_by(usage.c.day).order_by(usage.c.day.desc()).limit(days)
        rows = await self._database.read(query)
        return [DailyUsage(day.isoformat(), *sums_of_day) for day, *sums_of_day in map(tuple, rows)]


class SqlAudioLedger:
    """Implements AudioLedger. Raises Overloaded, EngineUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def spend(self, event: UsageEvent, most_seconds: float) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            await know_user(self._database, connection, event.user_id)
            await one_at_a_time(connection, event.user_id)
            spent = (await connection.execute(_sum(event.user_id, event.at))).scalar_one()
            if spent + event.seconds_in > most_seconds:
                return False
            await connection.execute(usage.insert(), usage_to_values(event))
            return True

        return await self._database.write(work)

    async def spent(self, user_id: str, at: datetime) -> float:
        return float((await self._database.read(_sum(user_id, at)))[0][0])


def _sum(user_id: str, at: datetime) -> Select[float]:
    day = at.astimezone(UTC).date()
    of_day = (usage.c.user_id == user_id) & (usage.c.day == day) & (usage.c.operation == DECODED)
    return select(func.coalesce(func.sum(usage.c.seconds_in), 0.0)).where(of_day)
