"""Engine calls in the database: how they wait and by whom they are done stands in `leased_rows.py`."""

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Row, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.engine import Database
from src.adapters.database.jobs.leased_rows import LeasedRows
from src.adapters.database.mapping import columns, error_to_json
from src.adapters.database.statements import only
from src.adapters.database.tables import engine_calls as calls
from src.domain.errors import NotFound
from src.domain.leases import EngineCall

_OVERDUE_AT_ONCE = 100
_CALL: TypeAdapter[EngineCall] = TypeAdapter(EngineCall)


class SqlCallRepository(LeasedRows[EngineCall]):
    """Implements CallRepository and LeaseRepository."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, calls, _from_row, fresh={}, noun="engine calls")

    async def add(self, call: EngineCall, most_waiting: int, seconds: float) -> None:
        """Queue it for `seconds`: nobody begins it later. Raises Overloaded when `most_waiting` calls wait."""
        place = {"expires_at": self._database.later(seconds), "turn": self._turn(call.user_id, call.priority)}
        values = columns(calls, call, error=error_to_json(call.error), **place)

        async def work(connection: AsyncConnection) -> None:
            await self._require_room(connection, most_waiting)
            await self._insert(connection, values)

        await self._database.write(work, repeatable=True)

    async def get(self, call_id: str) -> EngineCall:
        row = only(await self._database.read(select(calls).where(calls.c.id == call_id)))
        if row is None:
            raise NotFound("There is no such engine call.")
        return _from_row(row)

    async def finish(self, call: EngineCall) -> bool:
        outcome = {"error": error_to_json(call.error), "updated_at": call.updated_at}

        async def work(connection: AsyncConnection) -> bool:
            ended = await self._end(connection, call, call.status, outcome)
            return ended or await self._has_ended(connection, call, call.status)

        return await self._database.write(work, repeatable=True)

    async def overdue(self) -> list[EngineCall]:
        """Calls whose time is over, and which their callers have not taken away: some of them."""
        over = calls.c.expires_at <= self._database.later(0)
        return [_from_row(row) for row in await self._database.read(select(calls).where(over).limit(_OVERDUE_AT_ONCE))]

    def _claimable(self) -> ColumnElement[bool]:
        return and_(self._pending, calls.c.expires_at > self._database.later(0))


def _from_row(row: Row[Any]) -> EngineCall:
    return _CALL.validate_python(row._asdict())
