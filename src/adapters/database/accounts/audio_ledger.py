"""Decoded audio as usage rows: the budget of a day is what they sum up to."""

from datetime import UTC, datetime

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.mapping import usage_to_values
from src.adapters.database.statements import know_user, one_at_a_time
from src.adapters.database.tables import usage
from src.domain.accounts import DECODED
from src.domain.jobs import UsageEvent


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
