"""What users used: every query, each method one short transaction.

The `work` that a method gives to `Database.write` may run again when the connection was lost under it.
All raise Overloaded and EngineUnavailable when the database cannot answer.
"""

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.mapping import usage_to_values
from src.adapters.database.statements import change, know_user
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
